// Command kfaked runs kfake as a process: a fake of Kafka that has the protocol of brokers.
//
//	kfaked ADDRESS DATA TOPIC [PARTITIONS]
package main

import (
	"log"
	"os"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: kfaked ADDRESS DATA TOPIC [PARTITIONS]")
	}
}
