package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Load reads the configuration file at path. A missing file is an error that
// wraps fs.ErrNotExist, so that the caller can take the defaults where it is
// only [DefaultPath] that is missing.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w; name another file with --config", err)
	}
	defer f.Close() //nolint:errcheck // only read from

	// One byte more than allowed tells a file that is too long from one that fits.
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w; it must be a readable file", err)
	}
	return Parse(path, data)
}

// Parse reads a configuration from data; name stands for it in errors. What
// data does not set has its default, so empty data gives [Default]. The error
// lists all problems, one a line, as "name:line: what is wrong; what is right".
func Parse(name string, data []byte) (Config, error) {
	if len(data) > MaxFileBytes {
		return Config{}, fmt.Errorf("%s: more than %d bytes: is this the configuration file?", name, MaxFileBytes)
	}
	doc, err := document(data)
	if err != nil {
		return Config{}, located(name, err)
	}
	c := Default()
	r := reader{lines: map[string]int{}}
	r.read(doc, &c)
	r.values(c)
	if len(r.problems) > 0 {
		return Config{}, r.report(name)
	}
	return c, nil
}

// document is the root of the one YAML document in data, nil if there is none.
func document(data []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := d.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	switch err := d.Decode(&second); {
	case errors.Is(err, io.EOF):
		return first.Content[0], nil
	case err != nil:
		return nil, err
	}
	return nil, &problem{second.Line, `a second document begins here; keep one, without "---" between keys`}
}

// problem is one thing wrong in the file.
type problem struct {
	line int
	text string
}

func (p *problem) Error() string { return fmt.Sprintf("line %d: %s", p.line, p.text) }

// located puts the name of the file before err and its line, if it has one,
// where editors look for it: "yaml: line 3: text" becomes "name:3: text".
func located(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if line, what, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(line); err == nil {
				return fmt.Errorf("%s:%d: %s", name, n, what)
			}
		}
	}
	return fmt.Errorf("%s: %s", name, text)
}
