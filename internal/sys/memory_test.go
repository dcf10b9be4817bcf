package sys

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMemoryIsShared(t *testing.T) {
	const size = 10_000 // no whole number of pages
	file, one, sealed, err := NewMemory("test", size, ReadWrite)
	if err != nil || sealed {
		t.Fatal(sealed, err)
	}
	defer file.Close()
	other, err := MapMemory(file, ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != size || len(other) != size {
		t.Fatalf("%d and %d bytes", len(one), len(other))
	}
	*At[uint64](one, 8) = 42
	if got := *At[uint64](other, 8); got != 42 {
		t.Errorf("the other mapping has %d", got)
	}
	*At[uint64](other, 8) = 43
	if got := *At[uint64](one, 8); got != 43 {
		t.Errorf("the first mapping has %d", got)
	}
	for _, to := range []int64{size - 1, size + 1} {
		if err := unix.Ftruncate(int(file.Fd()), to); !errors.Is(err, unix.EPERM) {
			t.Errorf("its size can be %d: %v", to, err)
		}
	}
	if flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("children inherit it: %d, %v", flags, err)
	}
	for _, memory := range [][]byte{one, other} {
		if err := UnmapMemory(memory); err != nil {
			t.Error(err)
		}
	}
	if _, _, _, err := NewMemory("test", -1, ReadWrite); err == nil || !strings.Contains(err.Error(), "ftruncate to -1 bytes") {
		t.Errorf("%v", err)
	}
	closed := os.NewFile(^uintptr(0), "closed")
	if _, err := MapMemory(closed, ReadOnly); err == nil {
		t.Error("no file can be mapped")
	}
}

// No process with a descriptor of ReadOnly memory can write to the memory.
func TestReadOnlyMemoryIsSealed(t *testing.T) {
	const size = 8192
	file, memory, sealed, err := NewMemory("test", size, ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer UnmapMemory(memory)
	if !sealed {
		t.Skip("the kernel has no F_SEAL_FUTURE_WRITE: it needs Linux 5.1")
	}
	fd := int(file.Fd())
	if _, err := MapMemory(file, ReadWrite); !errors.Is(err, unix.EPERM) {
		t.Errorf("it can be mapped to be written: %v", err)
	}
	if _, err := file.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("it can be written: %v", err)
	}
	if err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, size); !errors.Is(err, unix.EPERM) {
		t.Errorf("a hole can be made: %v", err)
	}
	anew, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer anew.Close()
	if _, err := MapMemory(anew, ReadWrite); !errors.Is(err, unix.EPERM) {
		t.Errorf("opened anew, it can be mapped to be written: %v", err)
	}
	other, err := MapMemory(file, ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer UnmapMemory(other)
	if err := unix.Mprotect(other, unix.PROT_READ|unix.PROT_WRITE); !errors.Is(err, unix.EACCES) {
		t.Errorf("a mapping can be made writable: %v", err)
	}
	*At[uint64](memory, 8) = 42
	if got := *At[uint64](other, 8); got != 42 {
		t.Errorf("the other mapping has %d", got)
	}
}

func TestAtStaysWithinMemory(t *testing.T) {
	words := make([]uint64, 4)
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 32)
	for _, offset := range []int{0, 8, 24} {
		*At[uint64](memory, offset) = 1
	}
	for name, at := range map[string]func(){
		"past the end":   func() { At[uint64](memory, 25) },
		"at the end":     func() { At[byte](memory, 32) },
		"far off":        func() { At[byte](memory, 1<<62) },
		"before it":      func() { At[uint64](memory, -8) },
		"misaligned":     func() { At[uint64](memory, 4) },
		"too large":      func() { At[[33]byte](memory, 0) },
		"nothing at all": func() { At[byte](nil, 0) },
		"slice too long": func() { Slice[uint64](memory, 8, 4) },
		"longer by far":  func() { Slice[uint64](memory, 0, 1<<61) },
		"an empty slice": func() { Slice[uint64](memory, 0, 0) },
		"before nothing": func() { Slice[uint64](memory, -8, 2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(name)
				}
			}()
			at()
		}()
	}
}

// message writes into header i what the kernel would write.
func message(r *Receiver, i int, size uint32, control []byte) {
	binary.NativeEndian.PutUint16(r.evidence.names[i][:], unix.AF_INET)
	r.hdrs[i].len = size
	r.hdrs[i].hdr.SetControllen(copy(r.evidence.controls[i*r.evidence.space:], control))
	r.used = i + 1
}

// Arrived and the Receiver report the same number.
func TestArrived(t *testing.T) {
	segments := make([]byte, segmentSpace)
	binary.NativeEndian.PutUint64(segments, cmsgHeader+4)
	binary.NativeEndian.PutUint32(segments[8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(segments[12:], unix.UDP_GRO)
	binary.NativeEndian.PutUint32(segments[16:], 100)
	duplicate := make([]byte, destinationSpace) // sent to 192.0.2.255, answered from 192.0.2.1
	n := putControl(duplicate, hostAddr)
	copy(duplicate[cmsgHeader+8:], []byte{192, 0, 2, 255})
	duplicate = duplicate[:n]
	own := make([]byte, destinationSpace)
	n = putControl(own, hostAddr)
	copy(own[cmsgHeader+8:], hostAddr.AsSlice())
	own = own[:n]

	for name, test := range map[string]struct {
		options ReceiverOptions
		lay     func(r *Receiver)
		want    uint64
	}{
		"nothing": {want: 0},
		"three":   {lay: func(r *Receiver) { message(r, 0, 5, nil); message(r, 1, 0, nil); message(r, 2, 9, nil) }, want: 3},
		"all": {lay: func(r *Receiver) {
			message(r, 0, 5, nil)
			message(r, 1, 0, nil)
			message(r, 2, 9, nil)
			message(r, 3, 65535, nil)
		}, want: 4},
		"a message without a sender": {lay: func(r *Receiver) { message(r, 0, 5, nil); message(r, 1, 0, nil); r.evidence.names[1] = sockaddr{} }, want: 1},
		"GRO batches": {options: ReceiverOptions{GRO: true}, lay: func(r *Receiver) {
			message(r, 0, 1000, segments)
			message(r, 1, 1001, segments)
			message(r, 2, 99, segments)
		}, want: 10 + 11 + 1},
		"an empty message":      {options: ReceiverOptions{GRO: true}, lay: func(r *Receiver) { message(r, 0, 0, segments); message(r, 1, 7, nil) }, want: 2},
		"without GRO":           {lay: func(r *Receiver) { message(r, 0, 1000, nil) }, want: 1},
		"duplicates":            {options: ReceiverOptions{Destinations: true, DropDuplicates: true}, lay: func(r *Receiver) { message(r, 0, 5, duplicate); message(r, 1, 5, own) }, want: 1},
		"duplicates of shard 0": {options: ReceiverOptions{Destinations: true}, lay: func(r *Receiver) { message(r, 0, 5, duplicate); message(r, 1, 5, own) }, want: 2},
	} {
		test.options.Memory = make([]byte, ReceiverSpace(4))
		r := NewReceiver(4, 1<<16, test.options)
		if got := Arrived(test.options.Memory); got != 0 {
			t.Errorf("%s: %d before anything came", name, got)
		}
		if test.lay != nil {
			test.lay(r)
		}
		if got := Arrived(test.options.Memory); got != test.want || r.Arrived(r.used) != test.want {
			t.Errorf("%s: %d in memory, %d of the receiver, want %d", name, got, r.Arrived(r.used), test.want)
		}
		r.Reset()
		if got := Arrived(test.options.Memory); got != 0 {
			t.Errorf("%s: %d after a reset", name, got)
		}
	}
	if got := Arrived(make([]byte, ReceiverSpace(4))); got != 0 {
		t.Errorf("%d where no receiver was laid out", got)
	}
}

var hostAddr = netip.MustParseAddr("192.0.2.1")

// Arrived reads memory that another process has damaged, and nothing beyond the memory.
func FuzzArrived(f *testing.F) {
	memory := make([]byte, ReceiverSpace(2))
	r := NewReceiver(2, 100, ReceiverOptions{Destinations: true, GRO: true, DropDuplicates: true, Memory: memory})
	f.Add(append([]byte(nil), memory...))
	message(r, 0, 100, make([]byte, 40))
	f.Add(append([]byte(nil), memory...))
	f.Add(memory[:memoryHeaderSize])
	f.Fuzz(func(t *testing.T, data []byte) {
		Arrived(append(make([]byte, 0, len(data)+8), data...))
	})
}
