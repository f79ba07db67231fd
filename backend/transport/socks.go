package transport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// socksDial connects through a SOCKS5 proxy (RFC 1928, RFC 1929). net/http can do that itself, but puts no limit on the
// handshake: a proxy that accepts and says nothing would hold the call. Names are looked up by the proxy.
func socksDial(proxy *url.URL, dial dialFunc, limit func() time.Duration) dialFunc {
	host, port := proxy.Hostname(), proxy.Port()
	if port == "" {
		port = "1080"
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, net.JoinHostPort(host, port))
		if err != nil {
			return nil, &net.OpError{Op: "proxyconnect", Net: network, Err: err}
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(limit())) // cannot fail on an open connection
		err = socksHello(conn, proxy.User, addr)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			conn.Close()
			return nil, &net.OpError{Op: "proxyconnect", Net: network, Err: err}
		}
		conn.SetDeadline(time.Time{})
		return conn, nil
	}
}

const (
	socksVersion  = 5
	socksNoAuth   = 0
	socksPassword = 2
)

func socksHello(conn net.Conn, user *url.Userinfo, addr string) error {
	r := bufio.NewReaderSize(conn, 16) // the server sends nothing on its own: no byte of the target is read ahead
	method := byte(socksNoAuth)
	if user != nil {
		method = socksPassword
	}
	if _, err := conn.Write([]byte{socksVersion, 1, method}); err != nil {
		return err
	}
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	if head[0] != socksVersion || head[1] != method {
		return errors.New("the SOCKS5 proxy offers no way to sign in that fits")
	}
	if user != nil {
		if err := socksSignIn(conn, r, user); err != nil {
			return err
		}
	}
	return socksConnect(conn, r, addr)
}

func socksSignIn(w io.Writer, r io.Reader, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) > 255 || len(password) > 255 {
		return errors.New("the user name or password is too long for a SOCKS5 proxy")
	}
	msg := append([]byte{1, byte(len(name))}, name...)
	msg = append(append(msg, byte(len(password))), password...)
	if _, err := w.Write(msg); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(r, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return errors.New("the SOCKS5 proxy refuses the user name or password")
	}
	return nil
}

func socksConnect(w io.Writer, r io.Reader, addr string) error {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || len(host) > 255 {
		return errors.New("the target has no address that SOCKS5 can carry")
	}
	msg := []byte{socksVersion, 1, 0}
	if ip, err := netip.ParseAddr(host); err == nil {
		kind := byte(4)
		if ip.Is4() {
			kind = 1
		}
		msg = append(append(msg, kind), ip.AsSlice()...)
	} else {
		msg = append(append(msg, 3, byte(len(host))), host...)
	}
	if _, err := w.Write(binary.BigEndian.AppendUint16(msg, uint16(port))); err != nil {
		return err
	}
	return socksAnswer(r)
}

func socksAnswer(r io.Reader) error {
	var head [5]byte // with the first byte of the address
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	if head[1] != 0 {
		return fmt.Errorf("the SOCKS5 proxy cannot reach the target (code %d)", head[1])
	}
	rest := 2 // the port
	switch head[3] {
	case 1:
		rest += 3
	case 4:
		rest += 15
	default:
		rest += int(head[4])
	}
	_, err := io.CopyN(io.Discard, r, int64(rest))
	return err
}
