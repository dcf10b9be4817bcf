package cli

import (
	"errors"
	"slices"
	"strings"
)

// errorList is several errors that are reported together, each with its place and its remedy.
type errorList []error

func (p errorList) Error() string {
	texts := make([]string, len(p))
	for i, err := range p {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (p errorList) Unwrap() []error { return p }

// Join returns errs as one error: nil if all are nil, a single error as it is, or else an errorList
// in which each text occurs once.
func Join(errs ...error) error {
	all := Separate(errs...)
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return errorList(all)
}

// Separate returns all errors in errs that are not nil, with the errors of an errorList or of
// errors.Join one by one.
func Separate(errs ...error) (all []error) {
	for _, err := range errs {
		parts := []error{err}
		if list, ok := err.(interface{ Unwrap() []error }); ok && isList(err, list.Unwrap()) {
			parts = Separate(list.Unwrap()...)
		}
		for _, part := range parts {
			same := func(had error) bool { return had.Error() == part.Error() }
			if part != nil && !slices.ContainsFunc(all, same) {
				all = append(all, part)
			}
		}
	}
	return all
}

// isList distinguishes errors.Join from an error with several %w, which is a single error.
func isList(err error, parts []error) bool {
	_, isErrorList := err.(errorList)
	return isErrorList || err.Error() == errors.Join(parts...).Error()
}
