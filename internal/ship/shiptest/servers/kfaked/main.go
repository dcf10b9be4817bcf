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

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	user := flag.String("user", "", "MECHANISM:USER:PASSWORD; clients must authenticate")
	allow := flag.String("allow", "", "read, write or read,write: what the user may do")
	refuse := flag.Bool("refuse", false, "refuse all users with an answer; kfake closes connections")
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
	silence := newSilence()
	opts := []kfake.Opt{
		kfake.ListenFn(silence.listen),
		kfake.NumBrokers(1),
		kfake.Ports(port),
		kfake.DataDir(data),
		kfake.SeedTopics(int32(partitions), topic),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(*maxBytes)}),
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)),
	}
	if *user != "" {
		opts = append(opts, userOptions(*user, topic, *allow)...)
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
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		silence.produced.Store(true)
		return nil, nil, false
	})
	refuseAll := func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		response.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return response, nil, true
	}
	if *refuse {
		cluster.ControlKey(int16(kmsg.SASLAuthenticate), refuseAll)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	<-ended
	cluster.Close()
}

// userOptions returns the options for a user MECHANISM:USER:PASSWORD, who may do all that allow
// lists, or everything if allow is empty.
func userOptions(text, topic, allow string) []kfake.Opt {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		log.Fatal("-user needs MECHANISM:USER:PASSWORD")
	}
	if allow == "" {
		return []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(parts[0], parts[1], parts[2])}
	}
	var acls []kfake.ACL
	for operation := range strings.SplitSeq(allow+",describe", ",") {
		op, err := kmsg.ParseACLOperation(operation)
		if err != nil {
			log.Fatalf("-allow: %v", err)
		}
		acls = append(acls, kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topic,
			Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true})
	}
	user := kfake.User(parts[0], parts[1], parts[2], acls...)
	return []kfake.Opt{kfake.EnableSASL(), kfake.EnableACLs(), user}
}
