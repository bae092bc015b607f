package diary

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

const (
	// Of one message, this many are written within span; those that follow are counted.
	most = 5
	span = time.Minute
	// maxFloods is how many different messages are counted at once.
	maxFloods = 64
)

// floods are the messages of the last span, the oldest first. A message is the same as another of its level and text;
// its fields, as an error or a name, may differ.
type floods struct {
	emit func(*message, time.Time)
	all  []*flood
}

// A flood is a message that has come at least once since begin.
type flood struct {
	level zerolog.Level
	text  string
	begin time.Time
	count int
	last  []byte // the newest that was held back
}

// take writes a message or holds it back.
func (f *floods) take(m *message, now time.Time) {
	f.end(now, false)
	i := slices.IndexFunc(f.all, func(o *flood) bool { return o.level == m.level && o.text == m.text })
	if i < 0 {
		if len(f.all) == maxFloods {
			f.sum(f.all[0], now)
			f.all = slices.Delete(f.all, 0, 1)
		}
		i = len(f.all)
		f.all = append(f.all, &flood{level: m.level, text: m.text, begin: now})
	}
	o := f.all[i]
	if o.count++; o.count > most {
		o.last = append(o.last[:0], m.event...)
		return
	}
	f.emit(m, now)
}

// end forgets what began more than span ago, or all, and sums it up. A clock that was set back counts as time gone by.
func (f *floods) end(now time.Time, all bool) {
	f.all = slices.DeleteFunc(f.all, func(o *flood) bool {
		age := now.Sub(o.begin)
		over := all || age >= span || age < 0
		if over {
			f.sum(o, now)
		}
		return over
	})
}

// sum writes how many were held back, with the fields of the last one.
func (f *floods) sum(o *flood, now time.Time) {
	held := o.count - most
	if held <= 0 {
		return
	}
	fields := map[string]any{}
	_ = json.Unmarshal(o.last, &fields) // it could be read when it came
	text := fmt.Sprintf("%s … and %d more times", o.text, held)
	if held == 1 {
		text = o.text + " … and once more"
	}
	fields[zerolog.MessageFieldName] = text
	fields[zerolog.TimestampFieldName] = now.Format(zerolog.TimeFieldFormat)
	event, err := json.Marshal(fields)
	if err != nil {
		return
	}
	f.emit(&message{o.level, text, append(event, '\n')}, now)
}
