package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// counts are the counts of the status, over all shards.
type counts struct {
	Received, Delivered int
	InFlight            int `json:"in_flight"`
	Dropped             struct {
		Kernel, Output int
		LostInCrash    int `json:"lost_in_crash"`
	}
}

var client = http.Client{Timeout: 5 * time.Second}

func get(addr, path string) ([]byte, error) {
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s says %s: %s", path, resp.Status, body)
	}
	return body, err
}

func read(addr string) (total counts, err error) {
	body, err := get(addr, "/api/v1/status")
	if err != nil {
		return total, err
	}
	var status struct {
		Listeners []struct{ Shards []counts }
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return total, err
	}
	for _, l := range status.Listeners {
		for _, s := range l.Shards {
			total.Received += s.Received
			total.Delivered += s.Delivered
			total.InFlight += s.InFlight
			total.Dropped.Kernel += s.Dropped.Kernel
			total.Dropped.Output += s.Dropped.Output
			total.Dropped.LostInCrash += s.Dropped.LostInCrash
		}
	}
	return total, nil
}

// received waits until the status has counted n datagrams.
func received(addr string, n int) error {
	return until(func() error {
		now, err := read(addr)
		if err == nil && now.Received != n {
			err = fmt.Errorf("%d datagrams received of %d sent: %+v", now.Received, n, now)
		}
		return err
	})
}

// past waits until n further datagrams have been received.
func past(addr string, n int) error {
	first, known := 0, false
	return until(func() error {
		now, err := read(addr)
		if err != nil {
			return err
		}
		if !known {
			first, known = now.Received, true
		}
		if now.Received < first+n {
			return fmt.Errorf("%d datagrams received of %d awaited", now.Received-first, n)
		}
		return nil
	})
}

// account prints the datagrams that were received, and lost in the kernel, in outputs and in
// crashes, once none is in flight.
func account(addr string) error {
	return until(func() error {
		now, err := read(addr)
		if err == nil && now.InFlight > 0 {
			err = fmt.Errorf("%d datagrams are in flight", now.InFlight)
		}
		if err == nil {
			fmt.Println(now.Received, now.Dropped.Kernel, now.Dropped.Output, now.Dropped.LostInCrash)
		}
		return err
	})
}
