// Package dns answers DNS queries over UDP from static zones.
package dns
