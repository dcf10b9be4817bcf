package takeover

import "os"

// Memory is what a process counts in. Its files are duplicates, and belong to whoever holds
// the Memory. The zero Memory is of a process that counts in none.
type Memory struct {
	Counters *os.File // that its owner alone can write to
	Control  *os.File // that all write to who have it: Claims and registrations are locks on it
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

func memoryOf(files []*os.File) Memory { return Memory{files[0], files[1]} }

// registered returns a Memory to send to a process that stands by from then on. The caller
// closes its Control, which is all that is not m's.
func (m Memory) registered() (Memory, error) {
	if !m.exists() {
		return m, nil
	}
	control, err := Register(m.Control, 0)
	return Memory{m.Counters, control}, err
}

// Close closes its files.
func (m *Memory) Close() {
	shut(m.Counters, m.Control)
	*m = Memory{}
}
