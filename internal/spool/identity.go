package spool

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// identity is the content of spool.json.
type identity struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
}

// layout is the version of the layout of the folder.
const layout = 1

// identify reads the identity of the spool, or creates the identity for an empty folder.
func (s *Spool) identify() error {
	is, err := s.readIdentity()
	if err == nil && is.ID == "" {
		id := make([]byte, 8)
		rand.Read(id)
		is = identity{layout, hex.EncodeToString(id)}
		data, _ := json.Marshal(is)
		err = replaceFile(filepath.Join(s.Path, identityFile), append(data, '\n'))
	}
	s.ID = is.ID
	return err
}

// readIdentity reads the identity of the spool. The identity of an empty folder is empty.
func (s *Spool) readIdentity() (is identity, err error) {
	data, err := os.ReadFile(filepath.Join(s.Path, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(s.Path)
		for _, e := range entries {
			if e.Name() != lostAndFound {
				return is, fmt.Errorf("the folder has other files (%s), and is no spool", e.Name())
			}
		}
		return is, err
	}
	if err != nil {
		return is, err
	}
	if err := json.Unmarshal(data, &is); err != nil || len(is.ID) != 16 {
		return is, fmt.Errorf("%s is damaged", identityFile)
	}
	if is.Version != layout {
		return is, fmt.Errorf("the spool has layout %d, and this program has layout %d", is.Version, layout)
	}
	return is, nil
}

// replaceFile writes a file and renames it to path, so that path has the old or the new content.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
