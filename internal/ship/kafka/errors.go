package kafka

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/udpshard/udpshard/internal/ship"
)

// sendError returns the error of a request as the result of Send.
func (t *target) sendError(err error) error {
	isAny := func(targets ...*kerr.Error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case isAny(kerr.UnknownTopicOrPartition, kerr.UnknownTopicID):
		return ship.Permanent(fmt.Errorf("topic %s does not exist: kafka-topics.sh --create --topic %s "+
			"--bootstrap-server %s --partitions 12", t.topic, t.topic, strings.Join(t.brokers, ",")))
	case isAny(kerr.InvalidTopicException):
		return ship.Permanent(fmt.Errorf("topic %s: %w", t.topic, err))
	case isAny(kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed):
		return ship.Permanent(fmt.Errorf("topic %s: the broker allows no messages: %w: kafka-acls.sh "+
			"--add --producer --topic %s --allow-principal User:NAME --bootstrap-server %s",
			t.topic, err, t.topic, strings.Join(t.brokers, ",")))
	case isAny(kerr.InvalidTimestamp): // the time is that of Send for all messages
		return ship.Permanent(fmt.Errorf("topic %s: the clocks of this host and of the broker differ: %w",
			t.topic, err))
	case isAny(kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState):
		return ship.Permanent(fmt.Errorf("sasl %s: %w", t.sasl, err))
	}
	if t.sasl != "none" && errors.Is(err, io.EOF) {
		return fmt.Errorf("topic %s: the broker closed the connection; with sasl %s, user or password "+
			"may be wrong: %w", t.topic, t.sasl, err)
	}
	t.dialing.Lock()
	defer t.dialing.Unlock()
	if dial := t.dialError; dial != nil && !errors.Is(err, dial) {
		return fmt.Errorf("topic %s: %w; last connection: %w", t.topic, err, dial)
	}
	return fmt.Errorf("topic %s: %w", t.topic, err)
}

// isRefusal reports whether a broker refuses a batch for what is in it: one of its records may be
// the reason.
func isRefusal(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) ||
		errors.Is(err, kerr.InvalidRecord)
}
