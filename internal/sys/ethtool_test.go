package sys

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// The loopback interface has neither queues nor rings. A name longer than IFNAMSIZ is no
// interface's.
func TestEthtoolOfLoopback(t *testing.T) {
	for name, want := range map[string]unix.Errno{"lo": unix.EOPNOTSUPP, "no-such-one": unix.ENODEV, "longer-than-any-name": unix.ENODEV} {
		if _, err := FlowHash(name, FlowUDP4); !errors.Is(err, want) {
			t.Errorf("FlowHash of %s: %v, want %v", name, err, want)
		}
		if _, err := InterfaceChannels(name); !errors.Is(err, want) {
			t.Errorf("InterfaceChannels of %s: %v, want %v", name, err, want)
		}
		if _, _, err := ReceiveRing(name); !errors.Is(err, want) {
			t.Errorf("ReceiveRing of %s: %v, want %v", name, err, want)
		}
	}
}

func TestMembarrier(t *testing.T) {
	commands, err := Membarrier(MembarrierQuery)
	if err != nil {
		t.Skipf("needs membarrier (Linux 4.3): %v", err)
	}
	if commands&MembarrierGlobal == 0 {
		t.Skip("needs MEMBARRIER_CMD_GLOBAL, which kernels with nohz_full lack")
	}
	if _, err := Membarrier(MembarrierGlobal); err != nil {
		t.Error(err)
	}
	if _, err := Membarrier(1 << 30); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a command that does not exist: %v", err)
	}
}
