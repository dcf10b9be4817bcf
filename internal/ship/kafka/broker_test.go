package kafka

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// broker is the broker of a test: kfaked, which is a fake, or the real one at UDPSHARD_TEST_KAFKA.
type broker struct {
	address, topic string
	args           []string // of kfaked
	program        string   // "": a real broker
	process        *shiptest.Process
}

// startBroker starts kfaked with a topic of three partitions. The test has a topic of its own at a
// real broker, and is skipped there if kfaked needs flags.
func startBroker(t testing.TB, flags ...string) *broker {
	t.Helper()
	b := &broker{topic: fmt.Sprintf("udpshard-%d-%d", os.Getpid(), time.Now().UnixNano())}
	if b.address = os.Getenv("UDPSHARD_TEST_KAFKA"); b.address != "" {
		if len(flags) > 0 {
			t.Skipf("needs a broker with %s: unset UDPSHARD_TEST_KAFKA", flags)
		}
		b.createTopic(t)
		return b
	}
	b.program, b.address = shiptest.Build(t, "./kfaked"), shiptest.FreeTCP(t)
	b.args = append(flags, b.address, t.TempDir(), b.topic, "3")
	b.start(t)
	return b
}

func (b *broker) createTopic(t testing.TB) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx := context.Background()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = b.topic, 3, 1
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Topics = append(create.Topics, topic)
	response, err := create.RequestWith(ctx, client)
	if err != nil || response.Topics[0].ErrorCode != 0 {
		t.Fatalf("topic %s: %v, %v", b.topic, err, response)
	}
	t.Cleanup(func() {
		remove := kmsg.NewPtrDeleteTopicsRequest()
		remove.TopicNames = []string{b.topic}
		remove.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &b.topic}}
		remove.RequestWith(ctx, client)
	})
}

// start starts kfaked.
func (b *broker) start(t testing.TB) {
	b.process = shiptest.Start(t, b.program, b.args...)
	b.process.AwaitTCP(t, b.address)
}

// needFake skips a test that stops the broker.
func (b *broker) needFake(t testing.TB) {
	if b.program == "" {
		t.Skip("stops the broker: unset UDPSHARD_TEST_KAFKA")
	}
}

// target returns a target for the topic of the test. options are keys and values in turn.
func (b *broker) open(t testing.TB, options ...string) *target {
	t.Helper()
	return newTarget(t, "kafka://"+b.address+"/"+b.topic, options...)
}

func newTarget(t testing.TB, url string, options ...string) *target {
	t.Helper()
	made, err := New(shiptest.Settings(t, url, options...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Close() })
	return made.(*target)
}

// message is a message as kcat prints it.
type message struct {
	Partition int
	Offset    int
	Headers   []string
	Key       string
	Payload   string
}

// read reads the topic by kcat, a client of librdkafka.
func (b *broker) read(t testing.TB, args ...string) (messages []message) {
	t.Helper()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("needs kcat: apt-get install kcat")
	}
	args = append([]string{"-C", "-q", "-J", "-e", "-o", "beginning",
		"-b", b.address, "-t", b.topic}, args...)
	cmd := exec.Command(kcat, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat: %v", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatalf("kcat printed %q: %v", lines.Text(), err)
		}
		messages = append(messages, m)
	}
	return messages
}

// number returns the number of a record of shiptest.Numbered, and the number of its sender.
func number(t testing.TB, line string) (record, sender int) {
	t.Helper()
	_, text, _ := strings.Cut(line, `"message":"record `)
	_, source, _ := strings.Cut(line, `"source":"192.0.2.`)
	if _, err := fmt.Sscanf(text+" "+source, "%d", &record); err != nil {
		t.Fatalf("no number in %q: %v", line, err)
	}
	if _, err := fmt.Sscanf(source, "%d", &sender); err != nil {
		t.Fatalf("no sender in %q: %v", line, err)
	}
	return record, sender
}

// checkOnce checks that the topic has the records of shiptest.Numbered(0, n) once, in order for
// each sender, each sender in one partition.
func (b *broker) checkOnce(t testing.TB, n int) {
	t.Helper()
	seen, twice := make([]bool, n), 0
	type place struct{ partition, last int }
	senders := make(map[int]place)
	for _, m := range b.read(t) {
		for line := range strings.SplitSeq(m.Payload, "\n") {
			record, sender := number(t, line)
			if record >= n {
				t.Fatalf("record %d of %d", record, n)
			}
			if seen[record] {
				twice++
			}
			seen[record] = true
			last, known := senders[sender]
			if known && last.partition != m.Partition {
				t.Fatalf("sender %d is in partitions %d and %d", sender, last.partition, m.Partition)
			}
			if known && record < last.last {
				t.Fatalf("sender %d: record %d after %d", sender, record, last.last)
			}
			senders[sender] = place{m.Partition, record}
		}
	}
	missing := 0
	for _, found := range seen {
		if !found {
			missing++
		}
	}
	if missing+twice > 0 {
		t.Fatalf("of %d records %d are missing, %d are there twice", n, missing, twice)
	}
}

// killer kills and starts a broker at each request, beside the test: when the broker has stored
// messages without an answer. interrupt ends Send of shipBatch before.
type killer struct {
	requests  chan struct{}
	ended     sync.WaitGroup
	interrupt bool
	cancel    atomic.Pointer[context.CancelFunc] // of Send
}

func startKiller(t testing.TB, b *broker, interrupt bool) *killer {
	k := &killer{requests: make(chan struct{}, 100), interrupt: interrupt}
	k.ended.Go(func() {
		for range k.requests {
			b.process.Process.Signal(syscall.SIGUSR1)
			const unanswered = "stored without an answer"
			for !strings.Contains(b.process.Output(), unanswered) && t.Context().Err() == nil {
				pause(t.Context(), time.Millisecond)
			}
			if k.interrupt {
				(*k.cancel.Load())()
			}
			b.process.Kill()
			b.start(t)
		}
	})
	return k
}

// stop waits until the broker runs.
func (k *killer) stop() {
	close(k.requests)
	k.ended.Wait()
}

// shipBatch sends a batch until all of it is acknowledged, as the shipper does: Stored is asked
// before each resend. reopen returns the target to go on with after an error.
func (k *killer) shipBatch(t testing.TB, target *target, b *ship.Batch, reopen func() *target) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); len(b.Records) > 0; {
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		k.cancel.Store(&cancel)
		err := target.Send(ctx, b)
		cancel()
		if err == nil {
			return
		}
		target = reopen()
		for err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			var n int
			if n, err = target.Stored(t.Context(), b); err != nil {
				pause(t.Context(), 20*time.Millisecond)
				continue
			}
			b.First += uint64(n)
			b.Records = b.Records[n:]
		}
	}
}
