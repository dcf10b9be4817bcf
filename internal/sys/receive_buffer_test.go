package sys

import "testing"

func TestReceiveBuffer(t *testing.T) {
	fd := boundPair(t)[0]
	for _, size := range []int{100_000, 50_000} {
		if err := SetReceiveBuffer(fd, size, MaxReceiveBuffer); err != nil {
			t.Fatal(err)
		}
		if granted, err := ReceiveBuffer(fd); granted != size || err != nil {
			t.Errorf("%d bytes of %d granted, %v", granted, size, err)
		}
	}
	if MaxReceiveBuffer() < 2048 { // the kernel's minimum
		t.Errorf("the maximum is %d", MaxReceiveBuffer())
	}
	if err := SetReceiveBuffer(-1, 1, MaxReceiveBuffer); err == nil {
		t.Error("no error without a socket")
	}
}
