package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// Each mechanism authenticates; a wrong password is a permanent error without the password.
func TestSASL(t *testing.T) {
	const secret = "correct-horse-secret"
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			b := startBroker(t, "-user", mechanism+":ann:"+secret)
			t.Setenv("KAFKA_SECRET", secret)
			options := []string{"sasl", strings.ToLower(mechanism), "user", "ann", "password"}
			target := b.open(t, append(options, "${env:KAFKA_SECRET}")...)
			if err := target.Send(t.Context(), shiptest.Numbered(0, 10)); err != nil {
				t.Fatal(err)
			}
			// kfake closes the connection of a wrong password, as brokers before Kafka 1.0 do.
			wrong := append(options, "wrong-secret")
			err := b.open(t, wrong...).Send(t.Context(), shiptest.Numbered(0, 10))
			if err == nil || !strings.Contains(err.Error(), "user or password may be wrong") {
				t.Errorf("wrong password: %v", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v has the password", err)
			}
			err = b.open(t).Send(t.Context(), shiptest.Numbered(0, 10))
			if err == nil || !strings.Contains(err.Error(), "SASL") {
				t.Errorf("without a user: %v does not mention SASL", err)
			}
			t.Setenv("KAFKA_SECRET", "changed-secret")
			changed := b.open(t, append(options, "${env:KAFKA_SECRET}")...)
			if err := changed.Send(t.Context(), shiptest.Numbered(0, 10)); err == nil {
				t.Error("the changed password was not read")
			}
		})
	}
}

// A user that the broker refuses is a permanent error without the password.
func TestSASLRefused(t *testing.T) {
	b := startBroker(t, "-user", "PLAIN:ann:other", "-refuse")
	target := b.open(t, "sasl", "plain", "user", "ann", "password", "my-secret")
	err := target.Send(t.Context(), shiptest.Numbered(0, 10))
	var result *ship.Error
	if !errors.As(err, &result) || !result.Permanent || !strings.Contains(err.Error(), "sasl plain") {
		t.Fatalf("%v is no permanent error", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%v has the password", err)
	}
}

// A user who may not write is a permanent error with the command that allows it. A user who may not
// read has no answer about stored records.
func TestPermissions(t *testing.T) {
	for _, c := range []struct {
		allow  string
		denied bool
		stored int
	}{{"read", true, 0}, {"write", false, 0}, {"read,write", false, 10}} {
		t.Run(c.allow, func(t *testing.T) {
			b := startBroker(t, "-user", "PLAIN:ann:pass", "-allow", c.allow)
			options := []string{"sasl", "plain", "user", "ann", "password", "pass"}
			err := b.open(t, options...).Send(t.Context(), shiptest.Numbered(0, 10))
			var result *ship.Error
			denied := errors.As(err, &result) && result.Permanent
			if denied != c.denied || err != nil && !denied {
				t.Fatalf("%v, denied: %v, want %v", err, denied, c.denied)
			}
			if err != nil && !strings.Contains(err.Error(), "kafka-acls.sh --add --producer") {
				t.Errorf("%v has no command", err)
			}
			n, err := b.open(t, options...).Stored(t.Context(), shiptest.Numbered(0, 10))
			if n != c.stored || err != nil {
				t.Errorf("%d stored, %v, want %d", n, err, c.stored)
			}
		})
	}
}

// TLS is verified, and a broker's bad certificate is an error that says why.
func TestTLS(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	b := startBroker(t, "-cert", cert, "-key", key)
	target := b.open(t, "tls", "true", "ca", ca.File)
	if err := target.Send(t.Context(), shiptest.Numbered(0, 10)); err != nil {
		t.Fatal(err)
	}
	for want, options := range map[string][]string{
		"certificate":  {"tls", "true", "ca", shiptest.NewCA(t).File},
		"no such file": {"tls", "true", "ca", "/no/such/file"},
	} {
		err := b.open(t, options...).Send(t.Context(), shiptest.Numbered(0, 10))
		var result *ship.Error
		if err == nil || errors.As(err, &result) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v is no temporary error with %s", err, want)
		}
	}
	if err := b.open(t).Send(t.Context(), shiptest.Numbered(0, 10)); err == nil {
		t.Error("no error without TLS")
	}
}

func TestSettings(t *testing.T) {
	for _, good := range []struct{ url, brokers string }{
		{"kafka://127.0.0.1:9092,127.0.0.1:9093/logs", "127.0.0.1:9092 127.0.0.1:9093"},
		{"kafka://a,b:1/logs/", "a:9092 b:1"},
		{"kafka://[::1]:9093/a.b_c-1", "[::1]:9093"},
		{"kafka://[::1]/logs", "[::1]:9092"},
	} {
		target := newTarget(t, good.url)
		if got := strings.Join(target.brokers, " "); got != good.brokers {
			t.Errorf("%s: brokers %s, want %s", good.url, got, good.brokers)
		}
	}
	for _, bad := range []struct {
		url     string
		options []string
		want    string
	}{
		{"kafka://a:1", nil, "needs a topic"},
		{"kafka://a:1/b/c", nil, "needs a topic"},
		{"kafka://a:1/b?c=d", nil, "needs a topic"},
		{"kafka:///b", nil, "no broker"},
		{"kafka://a,,b/t", nil, "no broker"},
		{"kafka://a/t", []string{"per", "line"}, "option per"},
		{"kafka://a/t", []string{"acks", "1"}, "unknown option acks"},
		{"kafka://a/t", []string{"sasl", "gssapi"}, "option sasl"},
		{"kafka://a/t", []string{"sasl", "plain", "user", "u"}, "user and password"},
		{"kafka://a/t", []string{"user", "u", "password", "p"}, "option sasl"},
		{"kafka://a/t", []string{"ca", "/a"}, "option tls"},
		{"kafka://a/t", []string{"tls", "yes please"}, "option tls"},
		{"kafka://a/t", []string{"tls", "true", "cert", "/a"}, "needs both"},
	} {
		_, err := New(shiptest.Settings(t, bad.url, bad.options...))
		if err == nil || !strings.Contains(err.Error(), bad.want) || len(cli.Separate(err)) != 1 {
			t.Errorf("%s %v: %v, want %s", bad.url, bad.options, err, bad.want)
		}
	}
	original := shiptest.Settings(t, "kafka://a/t", "per", "batch")
	original.Format = ship.Original
	if _, err := New(original); err == nil {
		t.Error("no error for lines of datagrams")
	}
}
