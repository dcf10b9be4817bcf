package shard

import (
	"fmt"

	"github.com/udpshard/udpshard/internal/sys"
)

// pin ties the calling thread to one CPU and names it after its shard.
func pin(cpu, shard int) error {
	if err := sys.SetAffinity(cpu); err != nil {
		return fmt.Errorf("pin to cpu %d: %w", cpu, err)
	}
	if err := sys.NameThread(fmt.Sprintf("shard %d", shard)); err != nil {
		return fmt.Errorf("name thread: %w", err)
	}
	return nil
}
