-- Posts the file that the harness names: wrk … -s body.lua URL -- FILE
init = function(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  prepared = wrk.format()
end

request = function()
  return prepared
end
