pub fn cancel(r: connectome_codecs::TaskRecord, _n: connectome_codecs::UnixMillis) -> Result<connectome_codecs::TaskRecord, ()> { Ok(r) }
