package wire

import (
	"context"
	"errors"
	"io"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// ReadEither reads an answer in one piece or as a stream, whichever it is: some services stream to a request that asked
// for no stream, and the reverse. The first byte decides.
func ReadEither(r io.Reader, stream func(io.Reader) canon.Stream, whole func([]byte) canon.Stream) canon.Stream {
	return func(yield func(canon.Event, error) bool) { either(r, stream, whole)(yield) }
}

func either(r io.Reader, stream func(io.Reader) canon.Stream, whole func([]byte) canon.Stream) canon.Stream {
	first, r, err := First(r)
	switch {
	case err == io.EOF:
		return canon.Failed(apierror.New(apierror.Upstream5xx, "the service sent an empty answer"))
	case err != nil:
		return canon.Failed(ReadError(err))
	case first != '{' && first != '[' && first != '<':
		return stream(r)
	}
	body, err := io.ReadAll(io.LimitReader(r, MaxFrame+1))
	if err == nil && len(body) > MaxFrame {
		err = ErrFrameTooLarge
	}
	if err != nil {
		return canon.Failed(ReadError(err))
	}
	return whole(body)
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
