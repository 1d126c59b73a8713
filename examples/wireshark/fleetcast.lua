-- Fleetcast in Wireshark and tshark: packets, statements, pages, requests. See README.md beside this file.
--
-- W-1, T-6 and the like are rules of spec/protocol.md, words like `toi` its codes. Nothing is authenticated here: no signature
-- and no digest is checked, but for the TSI of a manifest.

local fleetcast = Proto("fleetcast", "Fleetcast")

local HEADER, STATEMENT_MAX, SIGNATURE = 20, 8192, 83
local REQUEST_HEAD, REQUEST_ENTRY, REQUEST_MAX = 20, 13, 1232
local STATEMENT, PAGE, PARITY, CHUNK = 0, 1, 2, 3
local MANIFEST, ROOT, BEACON = 0, 1, 2
local KINDS = { [STATEMENT] = "Statement", [PAGE] = "Page", [PARITY] = "Parity page", [CHUNK] = "Chunk" }
local STATEMENTS = { [MANIFEST] = "Manifest", [ROOT] = "Root", [BEACON] = "Beacon" }
local ALGORITHMS = { [-19] = "Ed25519", [-8] = "EdDSA" }

-- What each code means, in expert info.
local CODES = {
  ["truncated"] = "shorter than its header, or without payload (W-9, N-3)",
  ["version"] = "octet 0 is not 0x10 (W-1)",
  ["flags"] = "octet 1 has other flags than 0xA0 (W-2)",
  ["header-length"] = "octet 2 is not 4 (W-3)",
  ["codepoint"] = "no such codepoint (W-4)",
  ["toi"] = "TOI and codepoint disagree, or no such component (W-7)",
  ["statement-kind"] = "no such kind of statement, or a number that it cannot have (W-8)",
  ["tsi"] = "not the TSI of this manifest (W-6)",
  ["range"] = "the release has no such component, cell, block, symbol or slot (G-7, N-5)",
  ["length"] = "not as long as it must be (W-10, N-3)",
  ["template"] = "not in the form of a statement (S-1, S-2)",
  ["mark"] = "does not begin as a request of this version (N-2)",
  ["reserved"] = "a reserved bit of an entry is set (N-4)",
  ["empty"] = "an entry wants nothing (N-4)",
  ["order"] = "entries do not ascend by component and cell (N-4)",
}

-- Fields: name behind `fleetcast.`, constructor, text, and what the constructor takes else.
local F = {}
local function field(name, make, text, ...)
  F[name] = ProtoField[make]("fleetcast." .. name, text, ...)
end
field("version", "uint8", "LCT version and CCI length", base.HEX)
field("flags", "uint8", "Flags", base.HEX)
field("close_session", "bool", "Close session", 8, nil, 0x02)
field("close_object", "bool", "Close object", 8, nil, 0x01)
field("header_length", "uint8", "Header length in words", base.DEC)
field("kind", "uint8", "Kind", base.DEC, KINDS)
field("layer", "uint8", "Layer", base.DEC, nil, 0xF0)
field("count", "uint32", "Packet count of sender and layer", base.DEC, nil, 0x0FFFFFFF)
field("tsi", "uint32", "TSI", base.HEX)
field("toi", "uint32", "TOI", base.DEC)
field("component", "uint8", "Component", base.DEC)
field("sbn", "uint16", "Block number", base.DEC)
field("esi", "uint16", "Encoding symbol id", base.DEC)
field("cell", "uint32", "Cell", base.DEC)
field("statement", "uint8", "Kind of statement", base.DEC, STATEMENTS)
field("number", "uint24", "Number of statement", base.DEC)
field("payload", "bytes", "Payload")
field("payload_length", "uint32", "Payload length", base.DEC)
field("code", "string", "Dropped as")
field("manifest_frame", "framenum", "By the manifest in frame", base.NONE)
field("repair", "bool", "Repair")
field("position", "uint32", "Position", base.DEC)
field("slot", "uint32", "Slot", base.DEC)
field("offset", "uint64", "Offset in the image", base.DEC)
field("digests", "uint32", "Digests of the page", base.DEC)
field("digest", "bytes", "Digest")
field("other_digest", "bytes", "Digest of the cell's other page")
field("path", "bytes", "Path")
field("path_length", "uint32", "Digests of the path", base.DEC)
field("signatures", "uint8", "Signatures", base.DEC)
field("kid", "bytes", "Key id")
field("alg", "int8", "Algorithm", base.DEC, ALGORITHMS)
field("signature", "bytes", "Signature")
field("sequence", "uint64", "Sequence", base.DEC)
field("security_version", "uint32", "Security version", base.DEC)
field("release", "string", "Version of the release")
field("vendor", "guid", "Vendor")
field("class", "guid", "Device class")
field("name", "string", "Name")
field("target", "string", "Install target")
field("size", "uint64", "Image octets", base.DEC)
field("chunk_size", "uint32", "Octets of a chunk", base.DEC)
field("cell_size", "uint32", "Chunks of a cell", base.DEC)
field("repair_percent", "uint32", "Repair chunks per 100 source chunks", base.DEC)
field("digest_size", "uint32", "Octets of a digest", base.DEC)
field("root", "uint32", "Version of the root", base.DEC)
field("issued", "absolute_time", "Issued", base.UTC)
field("until", "absolute_time", "Believed until", base.UTC)
field("key", "bytes", "Public key")
field("manifest_digest", "bytes", "SHA-256 of the manifest")
field("request", "string", "Request for release")
field("entry", "none", "Wanted")
field("page_wanted", "bool", "Page wanted", 8, nil, 0x80)
field("slots", "uint64", "Slots wanted", base.HEX)
fleetcast.fields = F

local E = {}
for code, text in pairs(CODES) do
  E[code] = ProtoExpert.new("fleetcast.dropped." .. code, text, expert.group.PROTOCOL, expert.severity.WARN)
end
E.unread = ProtoExpert.new("fleetcast.unread", "Payload not understood; of a manifest, its packets are not placed",
  expert.group.UNDECODED, expert.severity.NOTE)
E.cut = ProtoExpert.new("fleetcast.cut", "Not captured whole: the payload is not read",
  expert.group.UNDECODED, expert.severity.NOTE)
fleetcast.experts = E

-- Releases whose manifest the capture has shown, by TSI.
local releases = {}

function fleetcast.init()
  releases = {}
end

-- Marks a packet as one that a receiver drops.
local function drop(tree, pinfo, code, detail)
  tree:add(F.code, code):set_generated():add_proto_expert_info(E[code], code .. ": " .. (detail or CODES[code]))
  pinfo.cols.info:append(" [" .. code .. "]")
end

local function generated(tree, name, value)
  return tree:add(F[name], value):set_generated()
end

-- SHA-256 ---

-- Lua 5.2 has bit operations as a library, later ones as operators, which 5.2 cannot parse.
local band, bxor, rrotate, rshift
if bit32 then
  band, bxor, rrotate, rshift = bit32.band, bit32.bxor, bit32.rrotate, bit32.rshift
else
  band, bxor, rrotate, rshift = load([[
    local function bxor(a, b, c) return a ~ b ~ (c or 0) end
    local function rrotate(a, n) return (a >> n | a << 32 - n) & 0xFFFFFFFF end
    return function(a, b) return a & b end, bxor, rrotate, function(a, n) return a >> n end
  ]])()
end

-- FIPS 180-4 sections 4.2.2 and 5.3.3.
local SHA_ROUNDS = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
local SHA_START = {
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

-- SHA-256 of a string, as a string.
local function sha256(text)
  local length = #text
  text = text .. "\128" .. ("\0"):rep((55 - length) % 64) .. "\0\0\0"
    .. string.char(math.floor(length / 2 ^ 29) % 256, math.floor(length / 2 ^ 21) % 256, math.floor(length / 2 ^ 13) % 256,
      math.floor(length / 2 ^ 5) % 256, length * 8 % 256)
  local state = { table.unpack(SHA_START) }
  for at = 1, #text, 64 do
    local w = {}
    for i = 1, 16 do
      local b0, b1, b2, b3 = text:byte(at + 4 * i - 4, at + 4 * i - 1)
      w[i] = b0 * 0x1000000 + b1 * 0x10000 + b2 * 0x100 + b3
    end
    for i = 17, 64 do
      local s0 = bxor(rrotate(w[i - 15], 7), rrotate(w[i - 15], 18), rshift(w[i - 15], 3))
      local s1 = bxor(rrotate(w[i - 2], 17), rrotate(w[i - 2], 19), rshift(w[i - 2], 10))
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) % 0x100000000
    end
    local a, b, c, d, e, f, g, h = table.unpack(state)
    for i = 1, 64 do
      local s1 = bxor(rrotate(e, 6), rrotate(e, 11), rrotate(e, 25))
      local t1 = h + s1 + bxor(g, band(e, bxor(f, g))) + SHA_ROUNDS[i] + w[i]
      local s0 = bxor(rrotate(a, 2), rrotate(a, 13), rrotate(a, 22))
      local t2 = s0 + bxor(band(a, b), band(a, c), band(b, c))
      a, b, c, d, e, f, g, h = (t1 + t2) % 0x100000000, a, b, c, (d + t1) % 0x100000000, e, f, g
    end
    for i, word in ipairs({ a, b, c, d, e, f, g, h }) do state[i] = (state[i] + word) % 0x100000000 end
  end
  for i, word in ipairs(state) do state[i] = string.format("%08x", word) end
  return (table.concat(state):gsub("..", function(octet) return string.char(tonumber(octet, 16)) end))
end

-- CBOR: just what statements are made of ---

local UINT, BYTES, TEXT, ARRAY, MAP = 0, 2, 3, 4, 5
local ARGUMENTS = { [24] = 1, [25] = 2, [26] = 4, [27] = 8 }

-- The item at `at`, and where the next one is. Raises an error for what no statement has.
local function cbor(tvb, at, depth)
  local start = at
  local first = tvb(at, 1):uint()
  local item = { major = math.floor(first / 32), value = first % 32 }
  local octets = ARGUMENTS[item.value] or 0
  assert(depth <= 6 and item.value < 28)
  if octets == 8 then
    item.wide = tvb(at + 1, 8):uint64()
    item.value = item.wide:tonumber()
  elseif octets > 0 then
    item.value = tvb(at + 1, octets):uint()
  end
  at = at + 1 + octets
  if item.major == BYTES or item.major == TEXT then
    item.range = item.value > 0 and tvb(at, item.value) or nil
    at = at + item.value
  elseif item.major == ARRAY then
    item.list = {}
    for i = 1, item.value do item.list[i], at = cbor(tvb, at, depth + 1) end
  elseif item.major == MAP then
    item.map = {}
    for _ = 1, item.value do
      local key
      key, at = cbor(tvb, at, depth + 1)
      assert(key.major == UINT)
      item.map[key.value], at = cbor(tvb, at, depth + 1)
    end
  else
    assert(item.major == UINT)
  end
  item.whole = tvb(start, at - start)
  return item, at
end

-- Adds an integer as a field, whose value `make` makes of it.
local function add(tree, name, item, make)
  assert(item.major == UINT)
  return tree:add(F[name], item.whole, make(item))
end

-- Adds octets as a field, as many as there must be.
local function add_bytes(tree, name, item, length)
  assert(item.major == BYTES and item.value == length)
  return tree:add(F[name], item.range)
end

local function add_token(tree, name, item)
  assert(item.major == TEXT and item.value >= 1 and item.value <= 32)
  return tree:add(F[name], item.range)
end

local function number(item) return item.value end
local function wide(item) return item.wide or UInt64(item.value) end
local function time(item) return NSTime(item.value, 0) end

-- Geometry (spec section 5) ---

local function ceil_div(a, b) return math.floor((a + b - 1) / b) end

local Geometry = {}
Geometry.__index = Geometry

-- Nil if the numbers are none a manifest may have.
function Geometry.new(size, chunk, cell, repair, digest, cap_length)
  local fits = size >= 1 and size <= 2 ^ 34 and chunk >= 64 and chunk <= 8192 and chunk % 64 == 0 and cell >= 8 and cell <= 64
    and cell % 8 == 0 and repair <= 100 and (digest == 16 or digest == 32)
  if not fits then return nil end
  local g = setmetatable({ chunk = chunk, cell = cell, percent = repair, digest = digest }, Geometry)
  g.source = ceil_div(size, chunk)
  g.blocks = ceil_div(g.source, 4096)
  local larger = g.source % g.blocks
  local _, first = g:block(0)
  local _, last = g:block(g.blocks - 1)
  g.repair = larger * first + (g.blocks - larger) * last
  g.source_cells = ceil_div(g.source, cell)
  g.cells = g.source_cells + ceil_div(g.repair, cell)
  local height, cap = 0, 0
  while 2 ^ height < g.cells do height = height + 1 end
  while 2 ^ cap * digest < cap_length do cap = cap + 1 end
  if g.source > 2 ^ 24 or 2 ^ cap * digest ~= cap_length or cap > height then return nil end
  g.path = height - cap
  return g
end

-- Source and repair chunks of a block.
function Geometry:block(block)
  local k = math.floor(self.source / self.blocks) + (block < self.source % self.blocks and 1 or 0)
  return k, ceil_div(k * self.percent, 100)
end

-- Chunks of a cell.
function Geometry:length(cell)
  if cell < self.source_cells then return math.min(self.cell, self.source - cell * self.cell) end
  return math.min(self.cell, self.repair - (cell - self.source_cells) * self.cell)
end

-- Digests of a page or parity page (T-3, T-4), and the other cell whose page is in the latter.
function Geometry:page(kind, cell)
  if kind == PAGE or self.cells <= 3 then return self:length(cell), nil end
  local other = (cell - 3) % self.cells
  return math.max(self:length(cell), self:length(other)), other
end

-- Position of a chunk, its cell and slot, and whether it is repair; nil if there is no such chunk.
function Geometry:place(block, esi)
  if block >= self.blocks then return nil end
  local k, r = self:block(block)
  if esi >= k + r then return nil end
  local is_repair = esi >= k
  local of_kind = (is_repair and esi - k or esi) * self.blocks + block
  local cell = math.floor(of_kind / self.cell) + (is_repair and self.source_cells or 0)
  return of_kind + (is_repair and self.source or 0), cell, of_kind % self.cell, is_repair
end

-- What chunk a slot of a cell is for.
function Geometry:slot_text(cell, slot)
  local is_repair = cell >= self.source_cells
  local of_kind = (is_repair and cell - self.source_cells or cell) * self.cell + slot
  local block, esi = of_kind % self.blocks, math.floor(of_kind / self.blocks)
  if is_repair then esi = esi + self:block(block) end
  return string.format("slot %d: %s chunk %d (block %d, ESI %d)", slot, is_repair and "repair" or "source", of_kind, block, esi)
end

-- Statements (spec sections 3, 4, 17, 18) ---

local function add_component(tree, index, map)
  local part = tree:add(fleetcast, map[0].whole, string.format("Component %d", index))
  generated(part, "component", index)
  add_token(part, "name", map[0])
  add_token(part, "target", map[1])
  add(part, "size", map[2], wide)
  add(part, "chunk_size", map[6], number)
  add(part, "cell_size", map[7], number)
  add(part, "repair_percent", map[8], number)
  add(part, "digest_size", map[9], number)
  return Geometry.new(map[2].value, map[6].value, map[7].value, map[8].value, map[9].value, map[10].value)
end

local function add_manifest(tree, map)
  local release = { components = {} }
  add(tree, "sequence", map[1], wide)
  add(tree, "security_version", map[2], number)
  add_token(tree, "release", map[3])
  add_bytes(tree, "vendor", map[4], 16)
  for _, class in ipairs(map[5].list) do add_bytes(tree, "class", class, 16) end
  for i, component in ipairs(map[6].list) do
    release.components[i - 1] = assert(add_component(tree, i - 1, component.map))
  end
  return release
end

-- A role: its threshold and the numbers of its keys.
local function role_text(role)
  local keys, bits = {}, role.list[2].value
  for i = 0, 31 do
    if math.floor(bits / 2 ^ i) % 2 == 1 then keys[#keys + 1] = tostring(i) end
  end
  return string.format("%d of keys %s", role.list[1].value, table.concat(keys, ", "))
end

local function add_role(tree, name, role)
  if role then tree:add(fleetcast, role.whole, name .. ": " .. role_text(role)) end
end

local function add_root(tree, map)
  add(tree, "root", map[1], number)
  add_bytes(tree, "vendor", map[2], 16)
  add(tree, "issued", map[3], time)
  for i, key in ipairs(map[4].list) do add_bytes(tree, "key", key, 32):prepend_text(string.format("%d: ", i - 1)) end
  add_role(tree, "Signs roots", map[5])
  for _, grant in ipairs(map[6].list) do
    local part = tree:add(fleetcast, grant.whole, "Grant")
    add_role(part, "Author", grant.map[0])
    add_role(part, "Operator", grant.map[1])
    for _, class in ipairs(grant.map[2] and grant.map[2].list or {}) do add_bytes(part, "class", class, 16) end
    for _, target in ipairs(grant.map[3] and grant.map[3].list or {}) do add_token(part, "target", target) end
  end
  add_role(tree, "Signs beacons", map[7])
end

local function add_beacon(tree, map)
  add_bytes(tree, "vendor", map[1], 16)
  add(tree, "issued", map[2], time)
  add(tree, "until", map[3], time)
  add(tree, "root", map[4], number)
  for _, current in ipairs(map[5].list) do
    local part = tree:add(fleetcast, current.whole, "Current")
    add_bytes(part, "class", current.list[1], 16)
    add(part, "sequence", current.list[2], wide)
    add_bytes(part, "manifest_digest", current.list[3], 32)
    add(part, "security_version", current.list[4], number)
  end
end

local ADD = { [MANIFEST] = add_manifest, [ROOT] = add_root, [BEACON] = add_beacon }

-- Where the payload of a statement begins and ends, and how many signatures follow; nil if it is not in the template (S-1).
local function template(tvb)
  if tvb:len() > STATEMENT_MAX or tvb:len() < 3 or tvb(0, 1):uint() ~= 0x82 then return nil end
  local head, start, length = tvb(1, 1):uint(), 2, nil
  if head >= 0x40 and head < 0x58 then
    length = head - 0x40
  elseif head == 0x58 then
    start, length = 3, tvb(2, 1):uint()
    if length < 24 then return nil end
  elseif head == 0x59 and tvb:len() >= 4 then
    start, length = 4, tvb(2, 2):uint()
    if length < 256 then return nil end
  end
  if not length or start + length >= tvb:len() then return nil end
  local count = tvb(start + length, 1):uint() - 0x80
  if count < 1 or count > 8 or tvb:len() ~= start + length + 1 + count * SIGNATURE then return nil end
  for i = 0, count - 1 do
    local octets = tvb(start + length + 1 + i * SIGNATURE, SIGNATURE):bytes():tohex(true)
    local alg = octets:match("^844da201(%x%x)0448" .. ("%x"):rep(16) .. "a0f65840")
    if alg ~= "32" and alg ~= "27" then return nil end
  end
  return start, length, count
end

local function add_statement(tvb, pinfo, tree, kind, tsi)
  local start, length, count = template(tvb)
  if not start then return drop(tree, pinfo, "template") end
  local payload = length > 0 and tvb(start, length)
  if payload then
    local part = tree:add(F.payload, payload)
    generated(part, "payload_length", length)
    -- The dissector of CBOR names itself in the columns, and raises an error where the payload ends early.
    local info, protocol = tostring(pinfo.cols.info), tostring(pinfo.cols.protocol)
    pcall(function() Dissector.get("cbor"):call(payload:tvb(), pinfo, part) end)
    pinfo.cols.info, pinfo.cols.protocol = info, protocol
    local ok, read = pcall(function()
      local map = assert(cbor(payload:tvb(), 0, 0).map)
      assert(map[0].value == 1)
      return ADD[kind](tree:add(fleetcast, payload, STATEMENTS[kind]), map)
    end)
    if kind == MANIFEST then
      local digest = sha256(payload:raw())
      local own = digest:sub(1, 4)
      if own ~= tsi:raw() then
        drop(tree, pinfo, "tsi")
      elseif ok then
        read.digest, read.frame = digest, pinfo.number
        releases[own] = releases[own] or read
      end
    end
    if not ok then tree:add_proto_expert_info(E.unread) end
  end
  generated(tree, "signatures", count)
  for i = 0, count - 1 do
    local at = start + length + 1 + i * SIGNATURE
    local part = tree:add(fleetcast, tvb(at, SIGNATURE), string.format("Signature %d", i))
    part:add(F.alg, tvb(at + 4, 1), -1 - (tvb(at + 4, 1):uint() - 0x20))
    part:add(F.kid, tvb(at + 7, 8))
    part:add(F.signature, tvb(at + 19, 64))
  end
end

-- Pages and chunks (spec sections 5 and 6) ---

-- The release and the geometry of a component, as far as the capture has shown them; drops what the release does not have.
local function placed(tree, pinfo, tsi, component)
  local release = releases[tsi:raw()]
  if not release then return nil end
  generated(tree, "manifest_frame", release.frame)
  if not release.components[component] then drop(tree, pinfo, "range") end
  return release.components[component]
end

local function add_page(tvb, pinfo, tree, kind, cell, geometry)
  local part = tree:add(F.payload, tvb())
  generated(part, "payload_length", tvb:len())
  if not geometry then
    if tvb:len() % 16 == 0 then
      part:append_text(string.format(" (%d digests of 16 octets, or half as many of 32: the page's, the other page's, the path)", tvb:len() / 16))
    end
    return
  end
  if cell >= geometry.cells then return drop(tree, pinfo, "range") end
  local count, other = geometry:page(kind, cell)
  local size = geometry.digest
  local expected = (count + 1 + geometry.path) * size
  if tvb:len() ~= expected then
    return drop(tree, pinfo, "length", string.format("%d octets where %d belong (T-6, T-7)", tvb:len(), expected))
  end
  generated(part, "digests", count)
  for slot = 0, count - 1 do
    local digest = part:add(F.digest, tvb(slot * size, size))
    if other then
      digest:append_text(string.format(" (slot %d: exclusive or of the pages of cells %d and %d)", slot, cell, other))
    else
      digest:append_text(" (" .. geometry:slot_text(cell, slot) .. ")")
    end
  end
  part:add(F.other_digest, tvb(count * size, size))
    :append_text(kind == PAGE and " (the parity page)" or " (the page)")
  generated(part, "path_length", geometry.path)
  for level = 0, geometry.path - 1 do
    local side = math.floor(cell / 2 ^ level) % 2 == 1 and "left" or "right"
    part:add(F.path, tvb((count + 1 + level) * size, size)):append_text(string.format(" (level %d, %s sibling)", level, side))
  end
end

local function add_chunk(tvb, pinfo, tree, sbn, esi, geometry)
  local part = tree:add(F.payload, tvb())
  generated(part, "payload_length", tvb:len())
  if not geometry then return end
  local position, cell, slot, is_repair = geometry:place(sbn, esi)
  if not position then return drop(tree, pinfo, "range") end
  generated(tree, "repair", is_repair)
  generated(tree, "position", position)
  generated(tree, "cell", cell)
  generated(tree, "slot", slot)
  if not is_repair then generated(tree, "offset", UInt64(position) * UInt64(geometry.chunk)) end
  pinfo.cols.info:append(string.format(", %s, cell %d slot %d", is_repair and "repair" or "source", cell, slot))
  if tvb:len() ~= geometry.chunk then
    drop(tree, pinfo, "length", string.format("%d octets where %d belong (W-10)", tvb:len(), geometry.chunk))
  end
end

-- Packets (spec section 2) ---

-- The code of a whole header, the first of W-13, or nil.
local function wrong(tvb)
  local codepoint, toi = tvb(3, 1):uint(), tvb(12, 4):uint()
  if tvb(0, 1):uint() ~= 0x10 then return "version" end
  if tvb(1, 1):bitfield(0, 6) ~= 0x28 then return "flags" end
  if tvb(2, 1):uint() ~= 4 then return "header-length" end
  if not KINDS[codepoint] then return "codepoint" end
  if codepoint == STATEMENT then
    if toi ~= 0 then return "toi" end
    local kind, version = tvb(16, 1):uint(), tvb(17, 3):uint()
    local fits = kind == ROOT and version >= 1 and version <= 65535 or (kind == MANIFEST or kind == BEACON) and version == 0
    return not fits and "statement-kind" or nil
  end
  if toi < 1 or toi > 16 or (toi % 2 == 1) ~= (codepoint == CHUNK) then return "toi" end
  return nil
end

local function add_packet(tvb, pinfo, tree)
  if tvb:reported_len() < HEADER then return drop(tree, pinfo, "truncated") end
  if tvb:len() < HEADER then return tree:add_proto_expert_info(E.cut) end
  tree:add(F.version, tvb(0, 1))
  tree:add(F.flags, tvb(1, 1))
  tree:add(F.close_session, tvb(1, 1))
  tree:add(F.close_object, tvb(1, 1))
  tree:add(F.header_length, tvb(2, 1))
  tree:add(F.kind, tvb(3, 1))
  tree:add(F.layer, tvb(4, 1))
  tree:add(F.count, tvb(4, 4))
  tree:add(F.tsi, tvb(8, 4))
  tree:add(F.toi, tvb(12, 4))
  local code = wrong(tvb)
  if code then return drop(tree, pinfo, code) end

  local kind, tsi, toi = tvb(3, 1):uint(), tvb(8, 4), tvb(12, 4):uint()
  local what, component
  if kind == STATEMENT then
    tree:add(F.statement, tvb(16, 1))
    tree:add(F.number, tvb(17, 3))
    what = STATEMENTS[tvb(16, 1):uint()]
    if tvb(16, 1):uint() == ROOT then what = what .. " " .. tvb(17, 3):uint() end
  else
    component = math.floor((toi - 1) / 2)
    tree:add(F.component, tvb(12, 4), component):set_generated()
    what = string.format("%s, component %d", KINDS[kind], component)
    if kind == CHUNK then
      tree:add(F.sbn, tvb(16, 2))
      tree:add(F.esi, tvb(18, 2))
      what = string.format("%s, block %d ESI %d", what, tvb(16, 2):uint(), tvb(18, 2):uint())
    else
      tree:add(F.cell, tvb(16, 4))
      what = string.format("%s, cell %s", what, tvb(16, 4):uint())
    end
  end
  tree:append_text(", " .. what)
  pinfo.cols.info = string.format("%s, session %08x, layer %d", what, tsi:uint(), tvb(4, 1):bitfield(0, 4))

  if tvb:reported_len() == HEADER then return drop(tree, pinfo, "truncated") end
  if tvb:len() < tvb:reported_len() then return tree:add_proto_expert_info(E.cut) end
  local payload = tvb(HEADER):tvb()
  if kind == STATEMENT then
    add_statement(payload, pinfo, tree, tvb(16, 1):uint(), tsi)
  elseif kind == CHUNK then
    add_chunk(payload, pinfo, tree, tvb(16, 2):uint(), tvb(18, 2):uint(), placed(tree, pinfo, tsi, component))
  else
    add_page(payload, pinfo, tree, kind, tvb(16, 4):uint(), placed(tree, pinfo, tsi, component))
  end
end

-- Requests (spec section 16) ---

-- The slots of an entry, ascending.
local function slots(entry)
  local list = {}
  for half, at in pairs({ [0] = 9, [32] = 5 }) do
    local bits = entry(at, 4):uint()
    for i = 0, 31 do
      if math.floor(bits / 2 ^ i) % 2 == 1 then list[#list + 1] = half + i end
    end
  end
  table.sort(list)
  return list
end

-- Adds an entry and gives its code, nil if nothing is wrong, and its component and cell as one number.
local function add_entry(entry, tree, release, before)
  local first, cell = entry(0, 1):uint(), entry(1, 4):uint()
  local component, wanted = first % 8, slots(entry)
  local part = tree:add(F.entry, entry())
  part:add(F.page_wanted, entry(0, 1))
  part:add(F.component, entry(0, 1), component)
  part:add(F.cell, entry(1, 4))
  part:add(F.slots, entry(5, 8)):append_text(" (" .. table.concat(wanted, " ") .. ")")
  part:append_text(string.format(": component %d, cell %s, %d chunks%s", component, cell, #wanted, first >= 128 and ", page" or ""))
  local place = component * 2 ^ 32 + cell
  if first % 128 >= 8 then return "reserved", place end
  if first < 128 and #wanted == 0 then return "empty", place end
  if place <= before then return "order", place end
  local geometry = release and release.components[component]
  local exists = not release or geometry and cell < geometry.cells and (wanted[#wanted] or 0) < geometry:length(cell)
  return not exists and "range" or nil, place
end

local function add_request(tvb, pinfo, tree)
  local length = tvb:reported_len()
  pinfo.cols.info = "Request"
  if length < REQUEST_HEAD + REQUEST_ENTRY or (length - REQUEST_HEAD) % REQUEST_ENTRY ~= 0 then
    return drop(tree, pinfo, "truncated")
  end
  if length > REQUEST_MAX then return drop(tree, pinfo, "length") end
  if tvb(3, 1):uint() ~= 1 then return drop(tree, pinfo, "mark") end
  if tvb:len() < length then return tree:add_proto_expert_info(E.cut) end
  tree:append_text(", request")
  tree:add(F.request, tvb(4, 16), tvb(4, 16):bytes():tohex(true))
  tree:add(F.tsi, tvb(4, 4))
  local count = math.floor((length - REQUEST_HEAD) / REQUEST_ENTRY)
  pinfo.cols.info = string.format("Request, session %08x, %d cells", tvb(4, 4):uint(), count)
  local release = releases[tvb(4, 4):raw()]
  if release and release.digest:sub(1, 16) ~= tvb(4, 16):raw() then release = nil end
  if release then generated(tree, "manifest_frame", release.frame) end
  local code, place, before, form, range = nil, nil, -1, nil, nil
  for i = 0, count - 1 do
    code, place = add_entry(tvb(REQUEST_HEAD + i * REQUEST_ENTRY, REQUEST_ENTRY):tvb(), tree, release, before)
    if code == "range" then range = code else form = form or code end
    before = place
  end
  -- The form of all entries comes before what the release has (N-6).
  if form or range then drop(tree, pinfo, form or range) end
end

-- How they are told apart, and found ---

local function is_request(tvb)
  return tvb:len() >= 4 and tvb(0, 3):uint() == 0x46434E
end

function fleetcast.dissector(tvb, pinfo, tree)
  pinfo.cols.protocol = "Fleetcast"
  pinfo.cols.info = "Not a packet"
  local add_all = is_request(tvb) and add_request or add_packet
  add_all(tvb, pinfo, tree:add(fleetcast, tvb()))
end

-- By the octets that every good packet or request has, on any port.
local function is_ours(tvb)
  if tvb:len() < HEADER or tvb:reported_len() == HEADER then return false end
  if is_request(tvb) then return tvb(3, 1):uint() == 1 and (tvb:reported_len() - REQUEST_HEAD) % REQUEST_ENTRY == 0 end
  return not wrong(tvb)
end

fleetcast:register_heuristic("udp", function(tvb, pinfo, tree)
  if not is_ours(tvb) then return false end
  fleetcast.dissector(tvb, pinfo, tree)
  return true
end)
DissectorTable.get("udp.port"):add_for_decode_as(fleetcast)
