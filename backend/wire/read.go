package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// ReadEither reads an answer in one piece or as a stream, whichever it is: some services stream to a request that asked
// for no stream, and the reverse. The first byte decides.
func ReadEither(r io.Reader, stream func(io.Reader) canon.Stream, whole func([]byte) canon.Stream) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		br := bufio.NewReaderSize(r, 16<<10)
		first, err := FirstByte(br)
		switch {
		case err == io.EOF:
			yield(canon.Event{}, apierror.New(apierror.Upstream5xx, "the service sent an empty answer"))
		case err != nil:
			yield(canon.Event{}, ReadError(err))
		case first == '{' || first == '[' || first == '<':
			body, err := io.ReadAll(io.LimitReader(br, MaxFrame+1))
			if err == nil && len(body) > MaxFrame {
				err = ErrFrameTooLarge
			}
			if err != nil {
				yield(canon.Event{}, ReadError(err))
				return
			}
			whole(body)(yield)
		default:
			stream(br)(yield)
		}
	}
}

// FirstByte looks at the first byte that is no white space. What stood before it means nothing: DeepSeek sends empty
// lines while a request waits.
func FirstByte(br *bufio.Reader) (byte, error) {
	for {
		b, err := br.ReadByte()
		if err != nil {
			return 0, err
		}
		if strings.IndexByte(" \t\r\n\xef\xbb\xbf", b) < 0 {
			return b, br.UnreadByte()
		}
	}
}

// ReadError tells of a connection that broke while an answer was read.
func ReadError(err error) *apierror.Error {
	e := apierror.New(apierror.Transport, "the connection to the service broke during the answer; try again")
	switch {
	case errors.Is(err, context.Canceled):
		e = apierror.New(apierror.Canceled, "the request was canceled")
	case errors.Is(err, context.DeadlineExceeded):
		e = apierror.New(apierror.Timeout, "the service stopped sending; try again")
	case errors.Is(err, ErrFrameTooLarge):
		e = apierror.New(apierror.Upstream5xx, "the service sent more than Patchbay takes in one piece")
	}
	if own, ok := errors.AsType[*apierror.Error](err); ok {
		return own
	}
	e.Err = err
	return e
}
