package ship

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/spool"
	"github.com/udpshard/udpshard/metrics"
)

// Shipper ships the records of a spool. Only the process with the lock of the spool ships.
type Shipper struct {
	spool     *spool.Spool
	token     string
	report    func(Event)
	rejected  rejectedFile
	listeners []*spool.Listener
	workers   []*worker

	ctx      context.Context // ends when Send must return
	abort    context.CancelFunc
	stop     chan struct{} // closed: no batch is begun
	finish   chan struct{} // closed: workers end when nothing waits, or their target fails
	stopping sync.Once
	lost     sync.Once // the lock of the spool
	running  sync.WaitGroup
}

// New returns a Shipper. The token is that of spool.Acquire. Any goroutine may call report.
func New(s *spool.Spool, token string, report func(Event)) *Shipper {
	p := &Shipper{spool: s, token: token, report: report,
		stop: make(chan struct{}), finish: make(chan struct{})}
	p.rejected.folder = s.Path
	p.ctx, p.abort = context.WithCancel(context.Background())
	return p
}

// Add adds a target of a listener. Add comes before Start.
func (p *Shipper) Add(l *spool.Listener, settings *Settings, target Target) error {
	consumer, err := l.Consumer(settings.Name())
	if err != nil {
		return err
	}
	if !slices.Contains(p.listeners, l) {
		p.listeners = append(p.listeners, l)
	}
	p.workers = append(p.workers, &worker{shipper: p, settings: settings, target: target,
		consumer: consumer})
	return nil
}

// Outputs returns the ledgers of a listener's targets. Any goroutine may call Outputs.
func (p *Shipper) Outputs(listener string) (list []metrics.Output) {
	for _, w := range p.workers {
		if w.settings.Listener == listener {
			list = append(list, w.status())
		}
	}
	return list
}

// Start starts to ship, when this process has the lock of the spool: a predecessor with the same
// token releases the lock at the end of a handover, or loses the lock if it does not run.
func (p *Shipper) Start() {
	p.running.Go(func() {
		if !p.acquire() {
			return
		}
		for _, l := range p.listeners {
			p.running.Go(func() { p.begin(l) })
		}
	})
}

// begin ships the records of a listener, as soon as the spool can be read.
func (p *Shipper) begin(l *spool.Listener) {
	var workers []*worker
	for _, w := range p.workers {
		if w.settings.Listener == l.Name() {
			workers = append(workers, w)
		}
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := l.Rescan()
		for _, w := range workers {
			if err == nil {
				err = w.consumer.Reload()
			}
		}
		if err == nil {
			break
		}
		for _, w := range workers {
			w.fail(&Error{Err: err})
		}
		if !workers[0].wait(&Error{}, pause) {
			return
		}
	}
	for target, waiting := range l.Abandon() {
		p.report(Event{Listener: l.Name(), Target: target, Abandoned: true, Waiting: waiting})
	}
	for _, w := range workers {
		w.recovered()
		p.running.Go(w.run)
	}
}

// lockPause is the time between two attempts to acquire the lock.
const lockPause = 20 * time.Millisecond

// acquire waits for the lock of the spool, and reports whether this process has it.
func (p *Shipper) acquire() bool {
	for began, told := time.Now(), false; ; {
		err := p.spool.Acquire(p.token)
		var by *spool.InUseError
		if errors.As(err, &by) && by.IsPredecessor() && time.Since(began) > spool.AcquirePatience {
			if err = p.spool.Seize(p.token); err == nil {
				p.report(Event{Seized: by.PID})
			}
		}
		if err == nil {
			return true
		}
		if !told && time.Since(began) > spool.AcquirePatience {
			told = true
			p.report(Event{Err: err})
		}
		select {
		case <-time.After(lockPause):
		case <-p.stop:
			return false
		case <-p.finish:
			return false
		}
	}
}

var errLockLost = errors.New("another process has taken the lock, or the file lock was removed")

// reportLost reports once that this process has lost the lock of the spool, and ships no more.
func (p *Shipper) reportLost() {
	select {
	case <-p.stop:
	default:
		p.lost.Do(func() { p.report(Event{Err: errLockLost}) })
	}
}

// drainPatience is how long a target may acknowledge nothing at the end of the process.
const drainPatience = time.Second

// waitForWorkers waits until the workers have ended, ctx ends, or no target has acknowledged a
// record for drainPatience. The result is whether the workers have ended.
func (p *Shipper) waitForWorkers(ctx context.Context, ended <-chan struct{}) bool {
	tick := time.NewTicker(drainPatience / 10)
	defer tick.Stop()
	last, since := p.acknowledged(), time.Now()
	for {
		select {
		case <-ended:
			return true
		case <-ctx.Done():
			return false
		case now := <-tick.C:
			if n := p.acknowledged(); n != last {
				last, since = n, now
			} else if now.Sub(since) >= drainPatience {
				return false
			}
		}
	}
}

// acknowledged returns how many records all targets have acknowledged or rejected.
func (p *Shipper) acknowledged() (n uint64) {
	for _, w := range p.workers {
		is := w.consumer.Status()
		n += is.Acknowledged + is.Rejected
	}
	return n
}

// Stop ends shipping at the end of the process. With drain, targets that work get the waiting
// records, until the end of ctx, or until no target has acknowledged a record for drainPatience.
// Targets that fail do not delay Stop. Without drain, Stop only waits for batches that are being
// sent, for half of spool.StopPatience. Other records stay in the spool.
func (p *Shipper) Stop(ctx context.Context, drain bool) {
	p.stopping.Do(func() {
		ended := make(chan struct{})
		go func() { p.running.Wait(); close(ended) }()
		if drain {
			close(p.finish)
		} else {
			close(p.stop)
			var cancel func()
			ctx, cancel = context.WithTimeout(ctx, spool.StopPatience/2)
			defer cancel()
		}
		if !p.waitForWorkers(ctx, ended) && drain {
			close(p.stop)
		}
		p.abort()
		select {
		case <-ended:
		case <-time.After(spool.StopPatience): // a disk or a target hangs: the exit ends the rest
			p.spool.Release()
			return
		}
		for _, w := range p.workers {
			w.target.Close()
			w.consumer.Close()
		}
		p.spool.Release()
	})
}
