// Package jsonl writes events.
package jsonl
