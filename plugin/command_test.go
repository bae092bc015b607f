package main

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestMistakes: each ends with the right exit code, says what to do, and writes no records.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	noGroup := write(t, "group.yaml", []byte("outputs:\n- file: {group: no-such-group}\n"))
	unknownKey := write(t, "bad.yaml", []byte("outputs:\n- colour: red\n  file:\n    path: "+dir+"/log\n"))
	boot := captureFile("boot")
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"unknown command", []string{"play"}, exitUsage, []string{`"play"`, "audisp-history help"}},
		{"replay without a file", []string{"replay"}, exitUsage, []string{"no FILE", "use -"}},
		{"replay, unknown flag", []string{"replay", "--fast", boot}, exitUsage, []string{"replay", "-fast", "audisp-history help"}},
		{"replay, style", []string{"replay", "--style", "json", boot}, exitUsage, []string{`"json"`, "field or record"}},
		{"replay, missing file", []string{"replay", boot, dir + "/none"}, exitError, []string{dir + "/none", "no such file"}},
		{"replay, a directory", []string{"replay", dir}, exitError, []string{dir, "is a directory"}},
		{"replay, not quite gzip", []string{"replay", write(t, "x.gz", []byte("\x1f\x8bnonsense"))}, exitError, []string{"x.gz", "gzip"}},
		{"replay, empty --proc", []string{"replay", "--proc", dir, boot}, exitError, []string{"--proc", dir + "/"}},
		{"replay, missing --proc", []string{"replay", "--proc", dir + "/none", boot}, exitError, []string{"--proc", dir + "/none"}},
		{"replay, unknown key", []string{"replay", "--config", unknownKey, boot}, exitUsage, []string{unknownKey + ":2", "colour"}},
		{"replay, missing configuration", []string{"replay", "--config", dir + "/none.yaml", boot}, exitUsage, []string{dir + "/none.yaml"}},
		{"run, no such group", []string{"run", "--config", noGroup}, exitUsage, []string{noGroup + ": outputs[0].file.group", "no-such-group"}},
		{"run, unknown key", []string{"run", "--config", unknownKey}, exitUsage, []string{unknownKey + ":2", "colour"}},
		{"run, missing configuration", []string{"run", "--config", dir + "/none.yaml"}, exitUsage, []string{dir + "/none.yaml"}},
		{"run, argument", []string{"run", "fast"}, exitUsage, []string{`"fast"`}},
		{"run, unknown flag", []string{"run", "--fast"}, exitUsage, []string{"-fast", "audisp-history help"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runArgs(strings.NewReader(""), c.args...)
			if r.code != c.code {
				t.Errorf("exit code %d, want %d", r.code, c.code)
			}
			for _, text := range append(c.says, "audisp-history: ") {
				if !strings.Contains(r.err, text) {
					t.Errorf("does not say %q: %s", text, r.err)
				}
			}
			if r.out != "" {
				t.Errorf("wrote %.100q", r.out)
			}
		})
	}
}

// What could not be written is an error of every command that answers.
func TestStandardOutputFull(t *testing.T) {
	state := keptState(t, t.TempDir(), bootA, shell(newTeller()))
	for _, args := range [][]string{
		{"show", "10", "--state-dir", state}, {"status", "--state-dir", state}, {"status", "--json", "--state-dir", state},
		{"version"}, {"help"}, {"run", "--help"}, {"rules"},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		must(t, err)
		var said strings.Builder
		code := execute(args, stdio{nil, full, &said, false})
		must(t, full.Close())
		if code != exitError || !strings.Contains(said.String(), "standard output: write /dev/full: no space left") {
			t.Errorf("%q: exit code %d: %s", args, code, &said)
		}
	}
}

// Options may follow operands; what follows -- is none.
func TestParseFlags(t *testing.T) {
	for _, c := range []struct {
		args, rest, config string
		asJSON             bool
		fails              string
	}{
		{"", "", "", false, ""},
		{"a --json b --config c", "a b", "c", true, ""},
		{"--json a - --config=c", "a -", "c", true, ""},
		{"a -- --json b -- c", "a --json b -- c", "", false, ""},
		{"-- --config", "--config", "", false, ""},
		{"--json --", "", "", true, ""},
		{"a b --fast", "", "", false, "x: flag provided but not defined: -fast"},
		{"a --config", "", "", false, "x: flag needs an argument"},
		{"a --help", "", "", false, "help"},
	} {
		var config string
		var asJSON bool
		rest, err := parseFlags("x", strings.Fields(c.args), func(f *flag.FlagSet) {
			f.StringVar(&config, "config", "", "")
			f.BoolVar(&asJSON, "json", false, "")
		})
		if c.fails != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.fails) {
				t.Errorf("%q: error %v, want %s", c.args, err, c.fails)
			}
			continue
		}
		if got := strings.Join(rest, " "); err != nil || got != c.rest || config != c.config || asJSON != c.asJSON {
			t.Errorf("%q: %q, --config %q, --json %v, %v", c.args, got, config, asJSON, err)
		}
	}
}

// A /proc that lacks one file is refused with that file's name.
func TestProcMisses(t *testing.T) {
	for _, missing := range []string{"stat", "uptime"} {
		t.Run(missing, func(t *testing.T) {
			dir := untar(t, filepath.Join("..", "testdata", "captures", "gap", "proc.start.tar.gz"))
			must(t, os.Remove(filepath.Join(dir, missing)))
			r := runArgs(nil, "replay", "--proc", dir, captureFile("gap"))
			if r.code != exitError || !strings.Contains(r.err, filepath.Join(dir, missing)) {
				t.Errorf("exit code %d: %s", r.code, r.err)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}, {"run", "--help"}, {"replay", "-h"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			r := good(t, nil, args...)
			if r.out != usage || r.err != "" {
				t.Errorf("wrote %q, and %q on standard error", r.out, r.err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		out := good(t, nil, arg).out
		if !strings.HasPrefix(out, "audisp-history dev ") || !strings.HasSuffix(out, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+"\n") {
			t.Errorf("%s: %q", arg, out)
		}
	}
}
