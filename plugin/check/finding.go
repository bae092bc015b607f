package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // histories are incomplete now
	Warning Severity = "warning" // they may become so, or it could not be found out
)

// A Finding is one thing that stands in the way.
type Finding struct {
	ID       string   `json:"id"` // never changes its meaning
	Severity Severity `json:"severity"`
	Problem  string   `json:"problem"`
	Why      string   `json:"why"`
	Remedy   string   `json:"remedy"`
}

// AllWell is what WriteText says if there is nothing else to say.
const AllWell = "all is well: nothing stands in the way of complete histories"

// WriteText writes the findings for people: a line for the problem, one for why it matters, one for what to do.
func WriteText(w io.Writer, findings []Finding) error {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s: %s [%s]\n  why:    %s\n  remedy: %s\n", f.Severity, f.Problem, f.ID, f.Why, f.Remedy)
	}
	if len(findings) == 0 {
		b.WriteString(AllWell + "\n")
	}
	return write(w, b.String())
}

// WriteJSON writes one object: {"ok": true|false, "findings": […]}.
func WriteJSON(w io.Writer, findings []Finding) error {
	if findings == nil {
		findings = []Finding{} // an empty list, not null
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // commands are to be copied
	e.SetIndent("", "  ")
	if err := e.Encode(struct {
		OK       bool      `json:"ok"`
		Findings []Finding `json:"findings"`
	}{len(findings) == 0, findings}); err != nil {
		return fmt.Errorf("findings as JSON: %w", err)
	}
	return write(w, b.String())
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}
