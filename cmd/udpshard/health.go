package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func healthCommand() *cobra.Command {
	var address string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health [flags]",
		Short: "Ask a running instance whether every shard reads; exit 0 or 1",
		Long: `Asks a running instance's /readyz: exit 0 while every shard reads, else 1 and
the reasons. For HEALTHCHECK and probes.`,
		Args:    noArguments,
		Example: "  udpshard health --http 127.0.0.1:9514",
		RunE: func(cmd *cobra.Command, _ []string) error {
			place := "--http"
			if _, set := os.LookupEnv(httpVariable); set && !cmd.Flags().Changed("http") {
				place = "$" + httpVariable
			}
			answer, err := askReady(cmd.Context(), place, address, timeout)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), answer)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&address, "http", cmp.Or(os.Getenv(httpVariable), defaultHTTP), "`ADDR` of the instance's HTTP server; $"+httpVariable+" changes the default")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait for the answer")
	return cmd
}

// askReady returns the answer of an instance that is ready. place is where its address was set.
func askReady(ctx context.Context, place, address string, timeout time.Duration) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", unusable(place, fmt.Errorf("%q is not host:port", address))
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return "", unusable(place, err)
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}} // an instance is asked itself
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("no instance answers at %s: %w", address, errors.Unwrap(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", err
	}
	answer := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK {
		return "", errors.New("not ready: " + strings.ReplaceAll(answer, "\n", "; "))
	}
	return answer, nil
}
