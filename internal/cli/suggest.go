package cli

import (
	"cmp"
	"strings"
)

// suggestion is the error of a value, with the value that the user probably wanted. SuggestedAt
// makes a hint from the value and its place.
type suggestion struct {
	error
	value string
}

func (s suggestion) Unwrap() error { return s.error }

// Suggest adds the value that the user probably wanted to an error; "" is no value.
func Suggest(err error, value string) error {
	if value == "" {
		return err
	}
	return suggestion{err, value}
}

// SuggestedAt writes a value for its place: --batch, FILE:4:11: listeners[0].batch, or $VARIABLE.
func SuggestedAt(place, value string) string {
	if strings.HasPrefix(place, "--") && (value == "true" || value == "false") {
		return place + "=" + value
	}
	if strings.HasPrefix(place, "--") {
		return place + " " + value
	}
	if variable, isVariable := strings.CutPrefix(place, "$"); isVariable {
		return variable + "=" + value
	}
	key := place[strings.LastIndexAny(place, ". ")+1:]
	return key + ": " + value
}

// DidYouMean returns the hint for an unknown word.
func DidYouMean(word string) string { return "did you mean " + word + "?" }

// NearestWord returns the known word that the user probably wanted, or "": the word with the fewest
// letters left out, added, changed or swapped, up to maxMistakes, regardless of case. Without such
// a word, NearestWord returns a known word that begins with word, or that word begins with.
func NearestWord(word string, known []string) string {
	const leastPrefix = 3 // a common begin of fewer letters may be chance
	word = strings.ToLower(word)
	best, least, longer := "", maxMistakes(len(word))+1, ""
	for _, k := range known {
		lower := strings.ToLower(k)
		if d := distance(word, lower); d < least {
			best, least = k, d
		}
		shorter := min(len(word), len(lower))
		if longer == "" && shorter >= leastPrefix && word[:shorter] == lower[:shorter] {
			longer = k
		}
	}
	return cmp.Or(best, longer)
}

// maxMistakes is how many wrong letters a word may have.
func maxMistakes(length int) int { return min(1+length/5, 3) }

// distance returns the number of letters to insert, delete, replace or swap with their neighbor to
// get from a to b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// SuggestChoice adds the choice that the user probably wanted to an error.
func SuggestChoice[T ~string](err error, text string, choices []T) error {
	var words []string
	for _, c := range choices {
		words = append(words, string(c))
	}
	return Suggest(err, NearestWord(strings.TrimSpace(text), words))
}
