package enrich_test

import "testing"

// What an init runs is not always shown by /proc: it may have been executed from a file system that is gone. A child that
// nobody saw being forked has executed something all the same if it is called otherwise.
func TestChildOfOneWhoseProgramIsHidden(t *testing.T) {
	s := newStory(t)
	s.look("1<0 init hidden", "2<0 kthreadd kernel")
	s.tell("1<0 open = init\n70<1 open as daemon = init daemon:70?\n71<1 open as init = init")
	s.end()
}
