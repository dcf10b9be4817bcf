package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type replacedError struct{ error }

func (replacedError) ExitCode() int { return ExitReplaced }

func TestExitCode(t *testing.T) {
	plain := errors.New("plain")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, ExitDone}, {plain, ExitFailed}, {Usage(plain), ExitUsage}, {Config(plain), ExitConfig},
		{fmt.Errorf("x: %w", replacedError{plain}), ExitReplaced}, {Usage(replacedError{plain}), ExitUsage},
		{SettingError("--batch", plain), ExitUsage}, {SettingError("c.yaml:1:2: batch", plain), ExitConfig},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
	if IsUsage(Config(plain)) || IsConfig(Usage(plain)) || !IsUsage(fmt.Errorf("x: %w", Usage(plain))) || !errors.Is(Usage(plain), plain) {
		t.Error("an error of the wrong kind")
	}
}

func TestErrorList(t *testing.T) {
	a, b := WithHint(errors.New("a"), "do a"), errors.New("b")
	severalCauses := fmt.Errorf("%w and %w", a, b)
	for _, c := range []struct {
		err  error
		want string // texts of the separate errors
	}{
		{Join(), ""}, {Join(nil, nil), ""}, {Join(a, nil), "a"}, {Join(a, b, a), "a|b"}, {Join(Join(a, b), errors.Join(b, nil, a)), "a|b"},
		{Join(severalCauses, a), "a and b|a"},
	} {
		var texts []string
		for _, err := range Separate(c.err) {
			texts = append(texts, err.Error())
		}
		if got := strings.Join(texts, "|"); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
	if joined := Join(a, b); !errors.Is(joined, b) || joined.Error() != "a; b" || Join(a) != a {
		t.Errorf("%v", joined)
	}
}

func TestPrintError(t *testing.T) {
	var out bytes.Buffer
	PrintError(&out, Join(NeedsFiles(errors.New("no descriptors"), 40), errors.New("plain")))
	const want = "udpshard: error: no descriptors\nudpshard: hint: ulimit -n 40, or LimitNOFILE=40 in the unit\nudpshard: error: plain\n"
	if out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}

// A write that blocks delays the end of the process by lastTimeout.
func TestWriteLastGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		began := time.Now()
		WriteLast(w, "text")
		if waited := time.Since(began); waited != lastTimeout {
			t.Errorf("waited %s, want %s", waited, lastTimeout)
		}
		r.Close()
	})
}

type failingWriter struct{ writes int }

func (f *failingWriter) Write([]byte) (int, error) {
	f.writes++
	return 0, os.ErrClosed
}

func TestOutputKeepsItsFirstError(t *testing.T) {
	f := new(failingWriter)
	o := &Output{W: f}
	for range 2 {
		if n, err := o.Write([]byte("text")); n != 4 || err != nil {
			t.Error(n, err)
		}
	}
	if f.writes != 1 || !errors.Is(o.Err, os.ErrClosed) {
		t.Errorf("%d writes, error %v", f.writes, o.Err)
	}
}

func TestIsNull(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if !IsNull(null) || IsNull(file) {
		t.Error("only /dev/null is /dev/null")
	}
	if IsTerminal(&Output{W: file}) || IsTerminal(new(bytes.Buffer)) {
		t.Error("a file and a buffer are no terminals")
	}
}

func TestFlags(t *testing.T) {
	set := pflag.NewFlagSet("x", pflag.ContinueOnError)
	batch, zero := 64, 0
	var file FileName
	var name string
	AddFlag(set, &batch, "batch", ParseCount, "receive `N`")
	AddFlag(set, &zero, "zero", ParseCount, "send `N`")
	AddFlag(set, &name, "name", ParseText, "a name")
	set.Var(&file, "config", "`FILE`")
	if text := set.FlagUsages(); !strings.Contains(text, `(default "64")`) || strings.Count(text, "default") != 1 {
		t.Error(text)
	}
	if err := set.Parse([]string{"--batch", "5", "--config", "c.yaml", "--name", "n"}); err != nil || batch != 5 || file.String() != "c.yaml" || name != "n" {
		t.Errorf("%v, batch %d, config %s, name %s", err, batch, file, name)
	}
	for _, args := range []string{"--batch=x", "--config="} {
		if err := set.Parse([]string{args}); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

func TestFlagErrors(t *testing.T) {
	root := &cobra.Command{Use: "udpshard", RunE: func(*cobra.Command, []string) error { return nil }, Args: NoArguments, SilenceErrors: true, SilenceUsage: true}
	serve := &cobra.Command{Use: "serve", RunE: root.RunE, Args: NoArguments}
	var batch int
	AddFlag(serve.Flags(), &batch, "batch", ParseCount, "receive `N`")
	root.AddCommand(serve, &cobra.Command{Use: "send", RunE: root.RunE, Args: NoArguments})
	root.SetFlagErrorFunc(FlagError)
	root.SetOut(io.Discard)
	root.SetHelpCommand(HelpCommand())
	AddCompletion(root)
	for args, want := range map[string][2]string{
		"serve --batch x":     {`--batch: "x" is not a whole number from 1`, ""},
		"serve --batch 5k":    {`--batch: "5k" is not a whole number from 1`, "--batch 5000"},
		"serve --batch":       {"flag needs an argument: --batch", "--batch N: receive N"},
		"serve --bach 5":      {"unknown flag: --bach", "did you mean --batch?"},
		"serve -batch 5":      {"unknown shorthand flag", "did you mean --batch?"},
		"serve -batch=SECRET": {"unknown shorthand flag: 'b' in -batch", "did you mean --batch?"},
		"serve a://u:SECRET":  {`"a://…": udpshard serve takes no arguments`, "udpshard serve --help"},
		"--batch 5":           {"unknown flag: --batch", "did you mean udpshard serve --batch?"},
		"--sned":              {"unknown flag: --sned", "did you mean udpshard send?"},
		"send --unknown":      {"unknown flag: --unknown", "udpshard send --help lists the flags"},
		"sned":                {`"sned": udpshard has no such command`, "did you mean udpshard send?"},
		"xyz":                 {`"xyz": udpshard has no such command`, "udpshard --help lists the commands"},
		"send 127.0.0.1":      {`"127.0.0.1": udpshard send takes no arguments`, "udpshard send --help"},
		"completion bash":     {"", ""},
		"help serve":          {"", ""},
		"help sned":           {"", ""},
		"serve --batch=1000":  {"", ""},
	} {
		root.SetArgs(strings.Fields(args))
		err := root.Execute()
		switch {
		case want[0] == "" && args != "help sned":
			if err != nil {
				t.Errorf("%s: %v", args, err)
			}
		case args == "help sned":
			if !IsUsage(err) {
				t.Errorf("%s: %v", args, err)
			}
		case !IsUsage(err) || !strings.HasPrefix(err.Error(), want[0]) || Hint(err) != want[1]:
			t.Errorf("%s: %v, hint %q, want %q", args, err, Hint(err), want)
		}
	}
}

func TestParsers(t *testing.T) {
	if got, err := ParseChoice("json", "console")("json"); got != "json" || err != nil {
		t.Error(got, err)
	}
	if _, err := ParseChoice("json", "console")("jsn"); err == nil || Hint(SettingError("--log-format", err)) != "--log-format json" {
		t.Error(err)
	}
	if _, err := ParseChoice("json", "console")("text"); err == nil || Hint(SettingError("log.format", err)) != "" {
		t.Error(err)
	}
	for text, want := range map[string]time.Duration{"0": 0, "5s": 5 * time.Second, "-1s": -1, "5": -1} {
		if got, err := ParseDuration(text); err == nil && got != want || err != nil && want >= 0 {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	type level string
	if err := SuggestChoice(errors.New("x"), " warm ", []level{"warn", "error"}); Hint(SettingError("$LEVEL", err)) != "LEVEL=warn" {
		t.Errorf("hint %q", Hint(SettingError("$LEVEL", err)))
	}
}
