// Package cli is what udpshard's commands have in common: exit codes, errors that say where a
// setting is and what to do about it, suggestions for words that are probably misspelled, and
// the values of flags and of the configuration file.
package cli
