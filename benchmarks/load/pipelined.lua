-- Sixteen requests in one write, as TechEmpower's plaintext test does.
init = function(args)
  local one = wrk.format()
  local all = {}
  for i = 1, 16 do
    all[i] = one
  end
  pipelined = table.concat(all)
end

request = function()
  return pipelined
end
