package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Limits in time. A broker that is away or hangs is an error of Send after at most sendTimeout.
const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 5 * time.Second  // of requests other than produce
	produceTimeout = 10 * time.Second // that a broker may wait for its replicas
	recordTimeout  = 10 * time.Second // of a message that was not sent yet
	sendTimeout    = 15 * time.Second // of one call of Send
)

// batchBytes is the largest batch of a partition before compression. A batch of the shipper with
// keys and headers is smaller (1 MiB of records, and about 100 bytes for each of 8192): the
// messages of a partition that are produced at once are one batch of Kafka, stored as a whole or
// not at all. So the order in a partition is kept when a batch fails.
const batchBytes = 8 << 20

// newClient returns a client without connections.
func (t *target) newClient(more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{
		kgo.ClientID("udpshard"),
		kgo.SeedBrokers(t.brokers...),
		kgo.Dialer(t.dial),
		kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.RetryTimeout(requestTimeout),
		kgo.RequestRetries(len(t.brokers)),
		kgo.RetryBackoffFn(func(tries int) time.Duration {
			return min(50*time.Millisecond<<min(tries, 10), time.Second)
		}),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.DisableClientMetrics(),
	}, more...)
	if t.sasl != "none" {
		opts = append(opts, kgo.SASL(t.mechanism()))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("client of kafka: %w", err)
	}
	return client, nil
}

// connect makes a client for messages, and checks that the topic exists.
func (t *target) connect(ctx context.Context) error {
	g := &guard{}
	client, err := t.newClient(
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := t.dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return guardedConn{conn, g}, nil
		}),
		kgo.DefaultProduceTopic(t.topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression().WithLevel(int(zstd.SpeedFastest))),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ManualFlushing(), // the messages of a partition are one batch
		kgo.ProducerBatchMaxBytes(batchBytes),
		kgo.ProduceRequestTimeout(produceTimeout),
		kgo.RecordDeliveryTimeout(recordTimeout),
		kgo.UnknownTopicRetries(2),
		kgo.StopProducerOnDataLossDetected(), // else the client sends again what may be stored
	)
	if err != nil {
		return err
	}
	if _, err := t.partitions(ctx, client); err != nil {
		client.Close()
		return err
	}
	t.client, t.guard, t.limit = client, g, sizeLimit{}
	return nil
}

// disconnect closes the client. The fate of messages without a result is unknown then.
func (t *target) disconnect() {
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
	if t.flight != nil {
		t.flight.pause()
		t.flight = nil
		t.batch.unsure = true
	}
}

// partitions returns the number of partitions of the topic.
func (t *target) partitions(ctx context.Context, client *kgo.Client) (int, error) {
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(t.topic)
	request.Topics = append(request.Topics, topic)
	for try := 0; ; try++ {
		response, err := request.RequestWith(ctx, client)
		if err != nil {
			return 0, t.sendError(err)
		}
		if len(response.Topics) != 1 {
			return 0, fmt.Errorf("topic %s: the answer has %d topics", t.topic, len(response.Topics))
		}
		err = kerr.ErrorForCode(response.Topics[0].ErrorCode)
		if err == nil {
			return len(response.Topics[0].Partitions), nil
		}
		// A broker that has just started may not know its topics yet.
		isUnknown := errors.Is(err, kerr.UnknownTopicOrPartition)
		if !isUnknown || try == 2 || !pause(ctx, 200*time.Millisecond) {
			return 0, t.sendError(err)
		}
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// dial connects to a broker. The client calls dial from goroutines of its own.
func (t *target) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := t.dialBroker(ctx, network, address)
	t.dialing.Lock()
	t.dialError = err
	switch {
	case err == nil:
		t.away = time.Time{}
	case t.away.IsZero():
		t.away = time.Now()
	}
	t.dialing.Unlock()
	return conn, err
}

// awayPatience is how long connections may fail before Send returns the error, so that the log says
// at once that a broker is away. The client itself would try on until the end of Send.
const awayPatience = time.Second

// beginDials forgets failures of earlier connections: the client gets the time to try again.
func (t *target) beginDials() {
	t.dialing.Lock()
	defer t.dialing.Unlock()
	t.away = time.Time{}
}

// isAway returns the error of connections if these have failed for awayPatience.
func (t *target) isAway() error {
	t.dialing.Lock()
	defer t.dialing.Unlock()
	if t.away.IsZero() || time.Since(t.away) < awayPatience {
		return nil
	}
	return t.dialError
}

func (t *target) dialBroker(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil || !t.tls {
		return conn, err
	}
	host, _, _ := net.SplitHostPort(address)
	config, err := t.settings.TLSConfig(host)
	if err == nil {
		secure := tls.Client(conn, config)
		if err = secure.HandshakeContext(ctx); err == nil {
			return secure, nil
		}
		err = fmt.Errorf("tls with %s: %w", address, err)
	}
	conn.Close()
	return nil, err
}

// mechanism returns the SASL mechanism, which reads user and password at each connection.
func (t *target) mechanism() sasl.Mechanism {
	scramAuth := func(context.Context) (scram.Auth, error) {
		user, password, err := t.credentials()
		return scram.Auth{User: user, Pass: password}, err
	}
	switch t.sasl {
	case "scram-sha-256":
		return scram.Sha256(scramAuth)
	case "scram-sha-512":
		return scram.Sha512(scramAuth)
	}
	return plain.Plain(func(context.Context) (plain.Auth, error) {
		user, password, err := t.credentials()
		return plain.Auth{User: user, Pass: password}, err
	})
}

func (t *target) credentials() (user, password string, err error) {
	user, userErr := t.settings.Value("user")
	password, passwordErr := t.settings.Value("password")
	return user, password, errors.Join(userErr, passwordErr)
}
