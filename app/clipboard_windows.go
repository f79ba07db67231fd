package app

import (
	"errors"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	user32           = windows.NewLazySystemDLL("user32.dll")
	openClipboard    = user32.NewProc("OpenClipboard")
	closeClipboard   = user32.NewProc("CloseClipboard")
	emptyClipboard   = user32.NewProc("EmptyClipboard")
	setClipboardData = user32.NewProc("SetClipboardData")
	kernel32         = windows.NewLazySystemDLL("kernel32.dll")
	globalAlloc      = kernel32.NewProc("GlobalAlloc")
	globalLock       = kernel32.NewProc("GlobalLock")
	globalUnlock     = kernel32.NewProc("GlobalUnlock")
	copyMemory       = kernel32.NewProc("RtlMoveMemory")
)

// copyText puts a text on the clipboard. Another program may have it open for a moment, so it is tried for a second.
func copyText(text string) error {
	const cfUnicodeText, gmemMoveable = 13, 2
	units, err := windows.UTF16FromString(text)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the clipboard belongs to a thread
	defer runtime.UnlockOSThread()
	opened := false
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		if r, _, _ := openClipboard.Call(0); r != 0 {
			opened = true
			break
		}
		<-tick.C
	}
	if !opened {
		return errors.New("another program holds the clipboard")
	}
	defer closeClipboard.Call()
	emptyClipboard.Call()
	size := uintptr(len(units)) * unsafe.Sizeof(units[0])
	mem, _, err := globalAlloc.Call(gmemMoveable, size)
	if mem == 0 {
		return err
	}
	at, _, err := globalLock.Call(mem)
	if at == 0 {
		return err
	}
	copyMemory.Call(at, uintptr(unsafe.Pointer(&units[0])), size)
	globalUnlock.Call(mem)
	if r, _, err := setClipboardData.Call(cfUnicodeText, mem); r == 0 {
		return err
	}
	return nil // the memory belongs to the system now
}
