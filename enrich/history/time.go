package history

// lastSecond is the end of the year 9999: start= has fourteen digits, whatever a record claims.
const lastSecond = 253402300799

// appendTime appends a time in milliseconds since 1970 as YYYYMMDDhhmmss in UTC.
func appendTime(dst []byte, ms int64) []byte {
	sec := min(max(ms/1000, 0), lastSecond)
	year, month, day := date(sec / 86400)
	s := sec % 86400
	dst = appendTwo(appendTwo(dst, year/100), year%100)
	dst = appendTwo(appendTwo(dst, month), day)
	return appendTwo(appendTwo(appendTwo(dst, s/3600), s/60%60), s%60)
}

// date turns days since 1970 into a date of the Gregorian calendar, counting years from March so that the leap day is
// the last.
func date(days int64) (year, month, day int64) {
	days += 719468 // to the first of March of the year 0
	era := days / 146097
	doe := days % 146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	year = yoe + era*400
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

func appendTwo(dst []byte, n int64) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}
