// Command kfaked runs kfake as a process: a fake of Kafka that has the protocol of brokers, and
// keeps topics in a folder.
//
//	kfaked [FLAGS] ADDRESS DATA TOPIC [PARTITIONS]
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	user := flag.String("user", "", "MECHANISM:USER:PASSWORD; clients must authenticate")
	cert := flag.String("cert", "", "file of a certificate: clients must use TLS")
	key := flag.String("key", "", "file of the key of the certificate")
	maxBytes := flag.Int("max-bytes", 1048588, "largest batch in bytes (message.max.bytes)")
	flag.Parse()
	if flag.NArg() < 3 {
		log.Fatal("usage: kfaked [FLAGS] ADDRESS DATA TOPIC [PARTITIONS]")
	}
	address, data, topic, partitions := flag.Arg(0), flag.Arg(1), flag.Arg(2), 4
	if text := flag.Arg(3); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			log.Fatalf("partitions: %v", err)
		}
		partitions = int(n)
	}
	_, portText, err := net.SplitHostPort(address)
	if err != nil {
		log.Fatalf("address: %v", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		log.Fatalf("port: %v", err)
	}
	if err := rebuildWindows(data); err != nil {
		log.Fatalf("sequences of producers: %v", err)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(port),
		kfake.DataDir(data),
		kfake.SeedTopics(int32(partitions), topic),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(*maxBytes)}),
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)),
	}
	if *user != "" {
		parts := strings.SplitN(*user, ":", 3)
		if len(parts) != 3 {
			log.Fatal("-user needs MECHANISM:USER:PASSWORD")
		}
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser(parts[0], parts[1], parts[2]))
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatalf("certificate: %v", err)
		}
		opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		log.Fatalf("kfake: %v", err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	<-ended
	cluster.Close()
}
