package main

import (
	"audisp-history/conf"
	"audisp-history/enrich/ecs"
	"audisp-history/enrich/history"
	"audisp-history/enrich/jsonl"
	"audisp-history/enrich/pretty"
	"audisp-history/enrich/text"
	"audisp-history/plugin/output"
)

// newFormat makes the format that the configuration asks for. What the format ecs makes has to go through
// [ecs.Document].
func newFormat(c *conf.Output, h *conf.History, colour bool) output.Format {
	cut := history.Middle
	if h.Cut == conf.CutFront {
		cut = history.Front
	}
	switch c.Format {
	case conf.FormatJSON:
		return jsonl.New(cut, h.MaxBytes)
	case conf.FormatECS:
		return ecs.New(cut, h.MaxBytes)
	case conf.FormatPretty:
		return pretty.New(colour, cut, h.MaxBytes)
	}
	style := text.Field
	if c.Style == conf.StyleRecord {
		style = text.Record
	}
	return text.New(style, history.NewRenderer(cut, h.MaxBytes))
}
