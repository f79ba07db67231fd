//go:build desktop

package window

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"sync"
	"time"

	"github.com/wailsapp/wails/v2"
	"github.com/wailsapp/wails/v2/pkg/logger"
	"github.com/wailsapp/wails/v2/pkg/options"
	"github.com/wailsapp/wails/v2/pkg/options/assetserver"
	"github.com/wailsapp/wails/v2/pkg/options/linux"
	"github.com/wailsapp/wails/v2/pkg/options/windows"
	"github.com/wailsapp/wails/v2/pkg/runtime"
)

// Built reports whether this build has a window.
const Built = true

//go:embed icon.png
var appIcon []byte

// noDMABUF has WebKitGTK hand its pictures over by shared memory. By its other way windows stayed white although their page
// was loaded (about one of seven with WebKitGTK 2.50 in a session without a bus).
const noDMABUF = "WEBKIT_DISABLE_DMABUF_RENDERER"

// child is the window's process.
type child struct {
	o     Options
	pages *pages
	leave sync.Once

	mu    sync.Mutex // guards what follows
	loads int        // how often a page has loaded: first the window's own, then Patchbay's
}

// Run shows the window until it is closed, the parent says so or ctx ends. It must be called from the main goroutine.
func Run(ctx context.Context, o Options) error {
	outlive()
	in := bufio.NewReader(o.In)
	address, err := first(in)
	if err != nil {
		return err
	}
	// What WebKitGTK looks at beside the policy below; other systems do not know these names.
	if _, set := os.LookupEnv(noDMABUF); !set || o.NoGPU {
		os.Setenv(noDMABUF, "1")
	}
	if o.NoGPU {
		os.Setenv("WEBKIT_DISABLE_COMPOSITING_MODE", "1")
	}
	c := &child{o: o, pages: &pages{say: o.Say, restart: o.Restart, target: address}}
	at := loadPlace(o.Place)
	state := options.Normal
	if at.Maximised {
		state = options.Maximised
	}
	err = wails.Run(&options.App{
		Title: "Patchbay", Width: at.Width, Height: at.Height, MinWidth: minWidth, MinHeight: minHeight, WindowStartState: state,
		EnableDefaultContextMenu: true, // copy and paste
		LogLevelProduction:       logger.ERROR,
		AssetServer:              &assetserver.Options{Handler: c.pages},
		Linux:                    &linux.Options{ProgramName: "patchbay", Icon: appIcon, WebviewGpuPolicy: gpuPolicy(o.NoGPU)},
		Windows:                  &windows.Options{WebviewUserDataPath: webviewFolder(), WebviewGpuIsDisabled: o.NoGPU},
		OnStartup: func(wctx context.Context) {
			c.pages.quit = func() { c.end(wctx) }
			context.AfterFunc(ctx, func() { c.end(wctx) })
			if !at.Maximised {
				c.move(wctx, at)
			}
			go c.obey(wctx, in) // ends with the parent
		},
		OnDomReady:    func(context.Context) { c.loaded() },
		OnBeforeClose: func(wctx context.Context) bool { c.remember(wctx); return false },
	})
	if err != nil {
		return fmt.Errorf("showing the window: %w", err)
	}
	return nil
}

func gpuPolicy(off bool) linux.WebviewGpuPolicy {
	if off {
		return linux.WebviewGpuPolicyNever
	}
	return linux.WebviewGpuPolicyOnDemand
}

// loaded is called whenever a page is there.
func (c *child) loaded() {
	if goruntime.GOOS == "linux" {
		// WebKit leaves signal handlers behind that turn a nil dereference in Go into the end of the process
		// (wailsapp/wails#3965).
		runtime.ResetSignalHandlers()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loads++; c.loads == 2 {
		fmt.Fprintln(c.o.Out, Loaded)
	}
}

// obey does what the parent says.
func (c *child) obey(ctx context.Context, in *bufio.Reader) {
	for {
		cmd, err := read(in)
		if errors.Is(err, errParentGone) {
			c.orphaned(ctx)
			return
		}
		switch cmd.Do {
		case CmdURL:
			c.pages.setTarget(cmd.Arg)
			runtime.WindowExecJS(ctx, "location.replace("+strconv.Quote(cmd.Arg)+")")
		case CmdPage:
			runtime.WindowExecJS(ctx, "location.hash="+strconv.Quote(cmd.Arg))
		case CmdShow:
			runtime.Show(ctx)
			runtime.WindowShow(ctx)
			runtime.WindowUnminimise(ctx)
		case CmdQuit:
			c.end(ctx)
			return
		}
	}
}

// orphaned says that Patchbay has stopped. The window goes when it runs again, or after a while: nothing stays behind.
func (c *child) orphaned(ctx context.Context) {
	stopped, err := c.pages.listen()
	if err != nil {
		c.end(ctx)
		return
	}
	runtime.WindowExecJS(ctx, "location.replace("+strconv.Quote(stopped)+")")
	awaitAgain(c.o.Running)
	c.end(ctx)
}

// end closes the window. On macOS the toolkit's loop may not notice, because it posts no event: so the process is ended if
// it does not end by itself.
func (c *child) end(ctx context.Context) {
	c.leave.Do(func() {
		time.AfterFunc(2*time.Second, func() { os.Exit(0) })
		runtime.Quit(ctx)
	})
}

// move puts the window where it was, if that is on a screen.
func (c *child) move(ctx context.Context, at place) {
	screens, err := runtime.ScreenGetAll(ctx)
	if err != nil {
		return
	}
	width, height := 0, 0 // the toolkit does not say how they lie: side by side is the most that fits
	for _, s := range screens {
		width += s.Size.Width
		height = max(height, s.Size.Height)
	}
	if at.on(width, height) {
		runtime.WindowSetPosition(ctx, at.X, at.Y)
	}
}

// remember keeps size and place for the next window.
func (c *child) remember(ctx context.Context) {
	if runtime.WindowIsMinimised(ctx) {
		return
	}
	at := place{Set: true}
	at.Width, at.Height = runtime.WindowGetSize(ctx)
	at.X, at.Y = runtime.WindowGetPosition(ctx)
	if runtime.WindowIsMaximised(ctx) { // the size to go back to is the one before
		at = loadPlace(c.o.Place)
		at.Maximised = true
	}
	_ = savePlace(c.o.Place, at) // else the next window opens as this one did
}
