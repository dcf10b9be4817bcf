package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// report prints the result of `udpshard send --verify FILE --json`: sent, rate, arrived, lost,
// doubled and reordered.
func report(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var r struct {
		Sent    int
		Rate    float64
		Records *struct {
			Total struct{ Arrived, Lost, Doubled, Reordered int }
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%w in %s", err, data)
	}
	if r.Sent == 0 || r.Records == nil {
		return fmt.Errorf("nothing was sent, or it was not verified: %s", data)
	}
	t := r.Records.Total
	fmt.Println(r.Sent, int(r.Rate), t.Arrived, t.Lost, t.Doubled, t.Reordered)
	return nil
}
