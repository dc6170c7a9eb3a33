// Go 1.19 (golang-go), as go build compiles it: a goroutine for each connection, GOMAXPROCS=1 as all
// servers here have one processor. Nothing else was tried.
package main

import (
	"fmt"
	"net"
	"runtime"
)

func serve(socket net.Conn) {
	defer socket.Close()
	data := make([]byte, 16*1024)
	for {
		came, err := socket.Read(data)
		if err != nil {
			return
		}
		if _, err = socket.Write(data[:came]); err != nil {
			return
		}
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		socket, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(socket)
	}
}
