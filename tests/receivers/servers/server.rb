# Answers 200 when `ours?` in code_shown.rb accepts a request, and 401 when it does not.
require "socket"
require_relative "code_shown"

# The body, and the headers as Rack names them.
def read_request(socket)
  socket.gets
  env = {}
  while (line = socket.gets.b.chomp) != ""
    name, value = line.split(": ", 2)
    env["HTTP_" + name.upcase.tr("-", "_")] = value.to_s.force_encoding("UTF-8")
  end
  [socket.read(env["HTTP_CONTENT_LENGTH"].to_i), env]
end

server = TCPServer.new("127.0.0.1", ENV.fetch("PORT").to_i)
loop do
  Thread.new(server.accept) do |socket|
    body, env = read_request(socket)
    status = ours?(body, env) ? 200 : 401
  rescue StandardError
    status = 500
  ensure
    socket.write("HTTP/1.1 #{status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    socket.close
  end
end
