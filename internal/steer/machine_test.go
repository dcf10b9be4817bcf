package steer

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// datagram is the input of a program: headers from the network header on. The payload is at the
// program's offset 0.
type datagram struct {
	ether   uint32 // ETH_P_IP or ETH_P_IPV6
	bytes   []byte
	payload int
	source  netip.AddrPort // as programs find the source: port 0 behind extension headers
}

const udpHeader = 8

// datagram4 returns an IPv4 datagram with bytes of options, a multiple of 4 up to 40.
func datagram4(source netip.AddrPort, options int) datagram {
	header := make([]byte, 20+options)
	header[0] = 4<<4 | byte(len(header)/4)
	header[9] = unix.IPPROTO_UDP
	from := source.Addr().As4()
	copy(header[12:], from[:])
	copy(header[16:], []byte{192, 0, 2, 1})
	for i := 20; i < len(header); i++ {
		header[i] = 1 // NOP
	}
	return datagram{unix.ETH_P_IP, appendUDP(header, source.Port()), len(header) + udpHeader, source}
}

// datagram6 returns an IPv6 datagram. Each extension is a header length in units of 8 bytes.
func datagram6(source netip.AddrPort, extensions ...int) datagram {
	header := make([]byte, 40)
	header[0] = 6 << 4
	next := &header[6]
	from := source.Addr().As16()
	copy(header[8:], from[:])
	header[39] = 1
	seen := source
	for _, eights := range extensions {
		*next = unix.IPPROTO_DSTOPTS
		at := len(header)
		header = append(header, make([]byte, 8*eights)...)
		header[at+1] = byte(eights - 1)
		next = &header[at]
		seen = netip.AddrPortFrom(source.Addr(), 0)
	}
	*next = unix.IPPROTO_UDP
	return datagram{unix.ETH_P_IPV6, appendUDP(header, source.Port()), len(header) + udpHeader, seen}
}

func appendUDP(header []byte, port uint16) []byte {
	const payload = "payload"
	header = binary.BigEndian.AppendUint16(header, port)
	header = binary.BigEndian.AppendUint16(header, 514)
	header = binary.BigEndian.AppendUint16(header, udpHeader+uint16(len(payload)))
	return append(header, "\x00\x00"+payload...)
}

// machine is a classic BPF machine like the kernel's, with registers, extensions, and loads before
// the payload. It follows linux/filter.h and net/core/filter.c, and shares no code with the
// assembler.
type machine struct {
	random, cpu uint32

	a, x    uint32
	scratch [unix.BPF_MEMWORDS]uint32
	stored  [unix.BPF_MEMWORDS]bool
}

// Offsets of the kernel for data outside of the payload (linux/filter.h).
const (
	extensions    = 1<<32 - 0x1000   // SKF_AD_OFF
	networkHeader = 1<<32 - 0x100000 // SKF_NET_OFF

	extProtocol = 0  // SKF_AD_PROTOCOL
	extCPU      = 36 // SKF_AD_CPU
	extRandom   = 56 // SKF_AD_RANDOM
)

// run returns a program's result, or an error for a program that the kernel refuses.
func (m machine) run(program []bpf.RawInstruction, d datagram) (uint32, error) {
	for at := 0; at < len(program); at++ {
		in := program[at]
		operand := in.K
		switch class := in.Op & 0x07; class {
		case unix.BPF_LD, unix.BPF_LDX:
			value, ok, err := m.load(in, d)
			if err != nil {
				return 0, fmt.Errorf("instruction %d: %w", at, err)
			}
			if !ok { // a load beyond the end
				return 0, nil
			}
			if class == unix.BPF_LD {
				m.a = value
			} else {
				m.x = value
			}
		case unix.BPF_ST, unix.BPF_STX:
			if in.K >= unix.BPF_MEMWORDS {
				return 0, fmt.Errorf("instruction %d: scratch word %d", at, in.K)
			}
			m.scratch[in.K], m.stored[in.K] = m.a, true
			if class == unix.BPF_STX {
				m.scratch[in.K] = m.x
			}
		case unix.BPF_ALU:
			if in.Op&unix.BPF_X != 0 {
				operand = m.x
			}
			if err := m.calculate(in.Op&0xf0, operand); err != nil {
				return 0, fmt.Errorf("instruction %d: %w", at, err)
			}
		case unix.BPF_JMP:
			skip, err := m.jump(in)
			if err != nil {
				return 0, fmt.Errorf("instruction %d: %w", at, err)
			}
			at += skip
		case unix.BPF_RET:
			switch in.Op {
			case unix.BPF_RET | unix.BPF_A:
				return m.a, nil
			case unix.BPF_RET | unix.BPF_K:
				return in.K, nil
			}
			return 0, fmt.Errorf("instruction %d: return %#x", at, in.Op)
		case unix.BPF_MISC:
			switch in.Op {
			case unix.BPF_MISC | unix.BPF_TAX:
				m.x = m.a
			case unix.BPF_MISC | unix.BPF_TXA:
				m.a = m.x
			default:
				return 0, fmt.Errorf("instruction %d: %#x", at, in.Op)
			}
		}
	}
	return 0, fmt.Errorf("the program of %d instructions ends without a return", len(program))
}

func (m *machine) load(in bpf.RawInstruction, d datagram) (value uint32, ok bool, err error) {
	sizes := map[uint16]int{unix.BPF_W: 4, unix.BPF_H: 2, unix.BPF_B: 1}
	size, mode := sizes[in.Op&0x18], in.Op&0xe0
	switch {
	case mode == unix.BPF_IMM:
		return in.K, true, nil
	case mode == unix.BPF_MEM:
		if in.K >= unix.BPF_MEMWORDS || !m.stored[in.K] {
			return 0, false, fmt.Errorf("scratch word %d is read where nothing was stored", in.K)
		}
		return m.scratch[in.K], true, nil
	case in.Op == unix.BPF_LDX|unix.BPF_B|unix.BPF_MSH:
		value, ok = d.at(in.K, 1)
		return 4 * (value & 0xf), ok, nil
	case in.Op&0x07 == unix.BPF_LDX:
	case mode == unix.BPF_ABS && in.K >= extensions:
		switch in.K - extensions {
		case extProtocol:
			return d.ether, true, nil
		case extRandom:
			return m.random, true, nil
		case extCPU:
			return m.cpu, true, nil
		}
	case mode == unix.BPF_ABS:
		value, ok = d.at(in.K, size)
		return value, ok, nil
	case mode == unix.BPF_IND:
		value, ok = d.at(in.K+m.x, size)
		return value, ok, nil
	}
	return 0, false, fmt.Errorf("load %#x %#x", in.Op, in.K)
}

// at reads a number in network order at an offset of the program.
func (d datagram) at(offset uint32, size int) (value uint32, ok bool) {
	from := d.payload + int(offset)
	if int32(offset) < 0 {
		if offset < networkHeader {
			return 0, false
		}
		from = int(offset - networkHeader)
	}
	if from+size > len(d.bytes) {
		return 0, false
	}
	for _, b := range d.bytes[from : from+size] {
		value = value<<8 | uint32(b)
	}
	return value, true
}

func (m *machine) calculate(op uint16, operand uint32) error {
	switch op {
	case unix.BPF_ADD:
		m.a += operand
	case unix.BPF_SUB:
		m.a -= operand
	case unix.BPF_MUL:
		m.a *= operand
	case unix.BPF_AND:
		m.a &= operand
	case unix.BPF_OR:
		m.a |= operand
	case unix.BPF_XOR:
		m.a ^= operand
	case unix.BPF_LSH, unix.BPF_RSH:
		if operand > 31 {
			return fmt.Errorf("a shift of %d", operand)
		}
		if op == unix.BPF_LSH {
			m.a <<= operand
		} else {
			m.a >>= operand
		}
	case unix.BPF_DIV, unix.BPF_MOD:
		if operand == 0 {
			return fmt.Errorf("a division by 0")
		}
		if op == unix.BPF_DIV {
			m.a /= operand
		} else {
			m.a %= operand
		}
	default:
		return fmt.Errorf("operation %#x", op)
	}
	return nil
}

func (m *machine) jump(in bpf.RawInstruction) (skip int, err error) {
	operand := in.K
	if in.Op&unix.BPF_X != 0 {
		operand = m.x
	}
	var holds bool
	switch in.Op & 0xf0 {
	case unix.BPF_JA:
		return int(in.K), nil
	case unix.BPF_JEQ:
		holds = m.a == operand
	case unix.BPF_JGT:
		holds = m.a > operand
	case unix.BPF_JGE:
		holds = m.a >= operand
	case unix.BPF_JSET:
		holds = m.a&operand != 0
	default:
		return 0, fmt.Errorf("jump %#x", in.Op)
	}
	if holds {
		return int(in.Jt), nil
	}
	return int(in.Jf), nil
}
