// Package cli has what the commands of udpshard share: exit codes, errors with the place of a
// setting and a remedy, suggestions for probably misspelled words, and parsers for the values of
// flags and of the configuration file.
package cli
