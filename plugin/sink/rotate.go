package sink

import "time"

// A Rotation says when a file becomes an old one, and what becomes of those. Old files are PATH.1, the newest, PATH.2 and
// so on, as with auditd and logrotate. What one Write has appended stays together.
type Rotation struct {
	// Bytes is how large a file becomes before a new one is begun; more only by what had been held back, or if a single
	// Write has more. 0: as large as may be.
	Bytes int64
	// Every is how long a file is written before a new one is begun, counted as time.Time.Truncate does: 24h is each
	// midnight, 168h each night to Monday, in UTC. A file that is empty then stays. 0: as long as may be.
	Every time.Duration
	// Keep is how many old files there may be, 1 to 999. Others are removed.
	Keep int
	// Compress says whether old files but PATH.1 are gzipped, in the background.
	Compress bool
}

// rotateAgain is how long after a failure rotating is tried again.
const rotateAgain = time.Minute

// full reports whether there is no room for so many bytes more in the file.
func (f *File) full(more int) bool {
	limit := f.conf.Rotate.Bytes
	return limit > 0 && f.file != nil && f.place.Size > 0 && f.place.Size+int64(more) > limit
}

// ends reports whether the time of the file is over: what is in it was written in an earlier one.
func (f *File) ends() bool {
	every := f.conf.Rotate.Every
	return every > 0 && f.file != nil && f.place.Size > 0 && period(f.now, every) > period(f.last, every)
}

func period(t time.Time, every time.Duration) int64 { return t.Truncate(every).Unix() }

// rotate renames the file, which is known to be the one that has its name, and begins a new one. If that fails, the old one is written to, and it is tried again later.
func (f *File) rotate() {
	if f.now.Before(f.barred) {
		return
	}
	if err := f.old.take(); err != nil {
		if f.barred = f.now.Add(rotateAgain); !f.stuck {
			f.notice("output %s: cannot be rotated and grows: %w", f.conf.Path, err)
		}
		f.stuck = true
		return
	}
	f.stuck = false
	_ = f.Reopen() // else the next write does, and says so
	if f.conf.Rotate.Compress {
		f.old.compress()
	}
}
