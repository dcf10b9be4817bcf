package takeover

import "os"

// Memory is the memory in which a process counts. Its files are duplicates, and belong to the
// holder of the Memory. The zero Memory is that of a process without such memory.
type Memory struct {
	Counters *os.File // only the process that counts can write to it
	Control  *os.File // all can write to it that have it; has the locks of Claim and Register
}

// memoryFiles is how many descriptors go with a Memory.
const memoryFiles = 2

func (m Memory) exists() bool { return m != Memory{} }

// files are those of a Memory, in the order in which they are sent.
func (m Memory) files() []*os.File {
	if !m.exists() {
		return nil
	}
	return []*os.File{m.Counters, m.Control}
}

func memoryFromFiles(files []*os.File) Memory { return Memory{files[0], files[1]} }

// registered returns a Memory to send to a process that stands by from then on. Its Control is
// new and registered, and the caller closes it; its Counters are those of m.
func (m Memory) withRegistration() (Memory, error) {
	if !m.exists() {
		return m, nil
	}
	control, err := Register(m.Control, 0)
	return Memory{m.Counters, control}, err
}

// Close closes the files. It may be called more than once.
func (m *Memory) Close() {
	closeFiles(m.Counters, m.Control)
	*m = Memory{}
}
