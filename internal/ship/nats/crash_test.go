package nats

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// nats-server is killed and started again five times while 50,000 records are sent. The stream's
// window for duplicates is shorter than each outage, so that Stored alone prevents duplicates.
func TestServerKilled(t *testing.T) {
	for _, per := range []string{"record", "batch"} {
		t.Run(per, func(t *testing.T) {
			const total, size, kills = 50_000, 2000, 5
			const window = 100 * time.Millisecond
			s := start(t)
			s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"},
				Duplicates: window})
			sender := &sender{target: open(t, "nats://"+s.address+"/logs", "per", per)}
			sent := make(chan int)
			restarted := make(chan bool)
			go func() {
				defer close(restarted)
				for range kills {
					for range total / size / (kills + 1) {
						<-sent
					}
					s.process.Kill()
					time.Sleep(2 * window) // the outage
					s.run()
				}
				for range sent {
				}
			}()
			for first := 0; first < total; first += size {
				if _, err := sender.send(t.Context(), shiptest.Numbered(first, size)); err != nil {
					t.Fatal(err)
				}
				sent <- first
			}
			close(sent)
			<-restarted
			t.Log(sender.errors)
			wantNumbered(t, lines(s.content("LOGS")), total)
		})
	}
}
