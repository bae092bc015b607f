package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"audisp-history/conf"
)

// Flags of a command, and whether each takes a value.
type flagSet map[string]bool

// definedFlags reads in the program's source which flags each command defines: what is handed to parseFlags.
func definedFlags(t *testing.T) map[string]flagSet {
	t.Helper()
	all := map[string]flagSet{}
	names, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "parseFlags" && len(call.Args) == 3 {
				all[literal(call.Args[0])] = flagsIn(call.Args[2])
			}
			return true
		})
	}
	return all
}

func flagsIn(define ast.Expr) flagSet {
	set := flagSet{}
	ast.Inspect(define, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && strings.HasSuffix(f.Sel.Name, "Var") && len(call.Args) > 1 {
			set["--"+literal(call.Args[1])] = f.Sel.Name != "BoolVar"
		}
		return true
	})
	return set
}

func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value)
	return s
}

func manual(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "packaging", "man", page+".md"))
	must(t, err)
	return string(b)
}

// section is what stands below a heading of a page.
func section(t *testing.T, page, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(manual(t, page), "\n# "+name+"\n")
	if !found {
		t.Fatalf("%s has no section %s", page, name)
	}
	text, _, _ := strings.Cut(rest, "\n# ")
	return text
}

// synopses are the lines of the page's SYNOPSIS and of the usage, by command, without what makes them bold.
func synopses(text string) map[string]string {
	lines := map[string]string{}
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.ReplaceAll(line, "*", ""))
		if len(words) > 1 && words[0] == "audisp-history" && !strings.HasPrefix(line, "audisp") {
			lines[words[1]] = strings.Join(words, " ")
		}
	}
	return lines
}

var longFlag = regexp.MustCompile(`--[a-z][a-z-]*`)

// The page says of each command what the program takes, no less and no more.
func TestManualHasTheFlags(t *testing.T) {
	defined := definedFlags(t)
	page := synopses(section(t, "audisp-history.8", "SYNOPSIS"))
	for command, flags := range defined {
		got := slices.Sorted(slices.Values(longFlag.FindAllString(page[command], -1)))
		if want := slices.Sorted(maps.Keys(flags)); !slices.Equal(got, want) {
			t.Errorf("%s: the page has %v, the program %v", command, got, want)
		}
	}
	options := section(t, "audisp-history.8", "OPTIONS")
	for _, flags := range defined {
		for flag := range flags {
			if !strings.Contains(options, "**"+flag+"**") {
				t.Errorf("OPTIONS does not explain %s", flag)
			}
		}
	}
	if len(defined) < 6 {
		t.Errorf("only %d commands with flags were found", len(defined))
	}
}

// The usage and the page have the same commands, and the program knows each of them.
func TestManualHasTheCommands(t *testing.T) {
	page := synopses(section(t, "audisp-history.8", "SYNOPSIS"))
	commands := section(t, "audisp-history.8", "COMMANDS")
	for command := range page {
		if !strings.Contains(commands, "\n**"+command+"**\n: ") {
			t.Errorf("COMMANDS does not explain %s", command)
		}
		if r := runArgs(nil, command, "--help"); r.code != exitOK && command != "version" {
			t.Errorf("%s: the program does not know it: %s", command, r.err)
		}
	}
	for command, line := range synopses(usage) {
		if page[command] == "" {
			t.Errorf("the page does not have: %s", line)
		}
		// The usage says of --config in a sentence of its own that show and status take it.
		want := strings.ReplaceAll(line, " [--config FILE]", "")
		if got := strings.ReplaceAll(page[command], " [--config FILE]", ""); got != want {
			t.Errorf("the page has %q, the usage %q", got, want)
		}
	}
}

// The page's exit codes are the program's.
func TestManualHasTheExitCodes(t *testing.T) {
	status := section(t, "audisp-history.8", "EXIT STATUS")
	got := regexp.MustCompile(`(?m)^\*\*(\d)\*\*$`).FindAllStringSubmatch(status, -1)
	for i, want := range []int{exitOK, exitError, exitUsage} {
		if i >= len(got) || got[i][1] != strconv.Itoa(want) {
			t.Errorf("exit code %d is not there", want)
		}
	}
}

// blocks are the code blocks of a page with a kind.
func blocks(t *testing.T, page, kind string) []string {
	t.Helper()
	var all []string
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(manual(t, page), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s has no example of kind %s", page, kind)
	}
	return all
}

// Every command line of the examples is one that the program takes.
func TestManualCommandExamples(t *testing.T) {
	defined := definedFlags(t)
	for _, block := range blocks(t, "audisp-history.8", "console") {
		for line := range strings.Lines(block) {
			words := strings.Fields(strings.TrimPrefix(line, "# "))
			if words[0] != "audisp-history" {
				continue
			}
			for _, flag := range longFlag.FindAllString(line, -1) {
				if _, ok := defined[words[1]][flag]; !ok {
					t.Errorf("%s: %s does not take %s", strings.TrimSpace(line), words[1], flag)
				}
			}
		}
	}
}

// Each configuration in the pages is accepted, that of the package among them.
func TestManualConfigurations(t *testing.T) {
	for i, block := range blocks(t, "audisp-history.yaml.5", "yaml") {
		if name, ok := strings.CutPrefix(strings.TrimSpace(block), "@include "); ok {
			b, err := os.ReadFile(filepath.Join("..", name))
			must(t, err)
			block = string(b)
		}
		if _, err := conf.Parse(fmt.Sprintf("example %d", i+1), []byte(block)); err != nil {
			t.Error(err)
		}
	}
}

// The example of the format: what goes in gives what the page says, to the letter.
func TestManualRecords(t *testing.T) {
	in := blocks(t, "audisp-history-format.7", "in")[0]
	out := good(t, strings.NewReader(in), "replay", "-").out
	for _, want := range blocks(t, "audisp-history-format.7", "out") {
		if !strings.Contains(out, strings.TrimSuffix(want, "\n")) {
			t.Errorf("the page has\n%s\nthe program writes\n%s", want, out)
		}
	}
}

// The page explains each reason that a gap can have, and no other.
func TestManualHasTheReasons(t *testing.T) {
	b, err := os.ReadFile("../enrich/tracker/gap.go")
	must(t, err)
	_, list, _ := strings.Cut(string(b), "return [...]string{")
	list, _, found := strings.Cut(list, "}")
	if !found {
		t.Fatal("gap.go has no list of reasons")
	}
	want := strings.Split(strings.ReplaceAll(list, `"`, ""), ", ")
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\*\*([a-z-]+)\*\*\n: `).FindAllStringSubmatch(section(t, "audisp-history-format.7", "GAPS"), -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page has %v, the program %v", got, want)
	}
}

// Shells complete every command and every flag of it.
func TestCompletion(t *testing.T) {
	defined := definedFlags(t)
	for _, c := range []struct{ file, flag string }{
		{"audisp-history.bash", `--%s\b`},
		{"_audisp-history", `--%s=?\[`},
		{"audisp-history.fish", `-l %s `},
	} {
		b, err := os.ReadFile(filepath.Join("..", "packaging", "completion", c.file))
		must(t, err)
		for command := range synopses(section(t, "audisp-history.8", "SYNOPSIS")) {
			if !regexp.MustCompile(`\b` + command + `\b`).Match(b) {
				t.Errorf("%s does not complete %s", c.file, command)
			}
		}
		for command, flags := range defined {
			for flag := range flags {
				pattern := fmt.Sprintf(c.flag, strings.TrimPrefix(flag, "--"))
				if !regexp.MustCompile(pattern).Match(b) {
					t.Errorf("%s does not complete %s of %s", c.file, flag, command)
				}
			}
		}
	}
}
