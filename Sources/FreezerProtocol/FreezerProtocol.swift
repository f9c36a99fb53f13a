// FreezerProtocol
