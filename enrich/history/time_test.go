package history

import (
	"math"
	"math/rand"
	"testing"
	"time"
)

// format is what appendTime should do, the long way.
func format(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	switch {
	case ms < 0:
		t = time.Unix(0, 0).UTC()
	case t.Year() > 9999:
		t = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t.Format("20060102150405")
}

func TestTime(t *testing.T) {
	check := func(ms int64) {
		t.Helper()
		if got, want := string(appendTime(nil, ms)), format(ms); got != want {
			t.Fatalf("%d ms: %s, want %s", ms, got, want)
		}
	}
	for _, ms := range []int64{0, 1, 999, 1000, -1, -1000, -86_400_000, math.MinInt64, math.MaxInt64, 1691750738271,
		lastSecond * 1000, lastSecond*1000 + 999, (lastSecond + 1) * 1000, lastSecond*1000 - 1} {
		check(ms)
	}
	// The days around the end of February and of the year, in every year that has four digits.
	for year := 1970; year <= 9999; year++ {
		for _, day := range []time.Time{
			time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 2, 28, 23, 59, 59, 0, time.UTC),
			time.Date(year, 2, 29, 12, 0, 0, 0, time.UTC), time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC),
			time.Date(year, 12, 31, 23, 59, 59, 0, time.UTC),
		} {
			check(day.UnixMilli())
		}
	}
	// Every day of a cycle of the calendar's 400 years would be long; each seventh meets all days of the year.
	for day := int64(0); day < 146_097; day += 7 {
		check(day * 86_400_000)
	}
	r := rand.New(rand.NewSource(1))
	for range 20_000 {
		check(r.Int63n(lastSecond * 1000))
	}
}
