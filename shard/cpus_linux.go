package shard

import (
	"fmt"

	"github.com/udpshard/udpshard/internal/sys"
)

// pin pins the calling thread to a CPU, and names the thread after the shard.
func pin(cpu, shard int) error {
	if err := sys.PinThread(cpu); err != nil {
		return err
	}
	if err := sys.NameThread(fmt.Sprintf("shard %d", shard)); err != nil {
		return fmt.Errorf("name thread: %w", err)
	}
	return nil
}
