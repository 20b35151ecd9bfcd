//! Logos: a PNG or JPEG of anybody's making is decoded within hard limits, made small, and drawn again as a PNG of ours. What is
//! stored and served never contains a byte of the file that was sent.

use std::io::Cursor;

use png::{BitDepth, ColorType, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::{Error, Result};
use crate::pool::logo::{SHOWN, fitted};

/// What a file may decode to: 16 MiB of pixels.
const MAX_SIDE: u32 = 4_096;
const MAX_PIXELS: u64 = 4 << 20;
/// A progressive JPEG may come in so many passes over all its pixels; common ones have ten, and a hostile one as many as its file holds.
const MAX_SCANS: usize = 32;

/// Twice what is shown, for dense screens.
const KEPT: (u32, u32) = (SHOWN.0 * 2, SHOWN.1 * 2);

/// A logo as it is stored.
pub struct Drawn {
    pub png: Vec<u8>,
    pub width: u32,
    pub height: u32,
}

/// RGBA, eight bits each, row by row.
struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// Takes milliseconds: not for the threads that answer requests.
pub fn draw(file: &[u8]) -> Result<Drawn> {
    let picture = match file {
        [0x89, b'P', b'N', b'G', ..] => from_png(file)?,
        [0xff, 0xd8, 0xff, ..] => from_jpeg(file)?,
        _ => return Err(not_taken(file)),
    };
    let picture = shrink(picture);
    Ok(Drawn { png: to_png(&picture)?, width: picture.width, height: picture.height })
}

fn not_taken(file: &[u8]) -> Error {
    let head = file.get(..file.len().min(512)).unwrap_or_default().to_ascii_lowercase();
    let contains = |needle: &[u8]| head.windows(needle.len()).any(|window| window == needle);
    let found = if contains(b"<svg") || contains(b"<?xml") {
        "ImageFile is an SVG, which can hold scripts"
    } else if head.starts_with(b"gif8") {
        "ImageFile is a GIF"
    } else if head.starts_with(b"riff") {
        "ImageFile is a WebP"
    } else {
        "ImageFile is not an image that this server knows"
    };
    Error::invalid(format!("{found}. Convert it to PNG or JPEG."))
}

fn from_png(file: &[u8]) -> Result<Picture> {
    let broken = |error: png::DecodingError| {
        Error::invalid(format!("ImageFile is not a PNG that can be read: {error}."))
    };
    let limits = Limits { bytes: 32 << 20 };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
    let header = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (header.width, header.height);
    check_size(width, height)?;
    let mut reader = decoder.read_info().map_err(broken)?;
    let size = reader.output_buffer_size().ok_or_else(|| too_large(width, height))?;
    let mut buffer = vec![0; size];
    let frame = reader.next_frame(&mut buffer).map_err(broken)?;
    buffer.truncate(frame.buffer_size());
    let pixels = match frame.color_type {
        ColorType::Rgba => buffer,
        ColorType::GrayscaleAlpha => {
            let pairs = buffer.as_chunks::<2>().0;
            pairs.iter().flat_map(|[grey, alpha]| [*grey, *grey, *grey, *alpha]).collect()
        }
        other => return Err(Error::internal(format!("a PNG was expanded to {other:?}"))),
    };
    whole(Picture { width, height, pixels })
}

fn from_jpeg(file: &[u8]) -> Result<Picture> {
    let broken = |error: &dyn std::fmt::Debug| {
        Error::invalid("ImageFile is not a JPEG that can be read.").because(format!("{error:?}"))
    };
    // A marker: in the data of a pass 0xff is always followed by zero.
    if file.windows(2).filter(|pair| *pair == [0xff, 0xda]).count() > MAX_SCANS {
        return Err(Error::invalid(format!(
            "ImageFile is a JPEG of more than {MAX_SCANS} passes. Save it as a plain one."
        )));
    }
    let side = usize::try_from(MAX_SIDE).unwrap_or(usize::MAX);
    let options = DecoderOptions::default()
        // Checked by hand, with a better message.
        .set_max_width(side * 16)
        .set_max_height(side * 16)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGBA);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(|error| broken(&error))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| broken(&"no dimensions"))?;
    let (width, height) =
        (u32::try_from(width).unwrap_or(u32::MAX), u32::try_from(height).unwrap_or(u32::MAX));
    check_size(width, height)?;
    let pixels = decoder.decode().map_err(|error| broken(&error))?;
    whole(Picture { width, height, pixels })
}

fn check_size(width: u32, height: u32) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        return Err(too_large(width, height));
    }
    Ok(())
}

fn too_large(width: u32, height: u32) -> Error {
    Error::invalid(format!(
        "ImageFile is {width} by {height} pixels; at most {MAX_SIDE} in each direction and {MAX_PIXELS} in all are taken. It is shown at up to {} by {}.",
        SHOWN.0, SHOWN.1
    ))
}

/// The arithmetic below relies on it. A PNG may say that its first frame is smaller than itself.
fn whole(picture: Picture) -> Result<Picture> {
    let expected = u64::from(picture.width) * u64::from(picture.height) * 4;
    if u64::try_from(picture.pixels.len()).ok() != Some(expected) {
        return Err(Error::invalid("ImageFile does not have the pixels that it announces."));
    }
    Ok(picture)
}

/// Fits a picture into `KEPT`: each new pixel is the mean of those it covers, weighted by their opacity.
fn shrink(picture: Picture) -> Picture {
    let (width, height) = fitted((picture.width, picture.height), KEPT);
    if (width, height) == (picture.width, picture.height) {
        return picture;
    }
    let span = |at: u32, new: u32, old: u32| {
        let (at, new, old) = (u64::from(at), u64::from(new), u64::from(old));
        let begin = at * old / new;
        (begin, ((at + 1) * old / new).max(begin + 1))
    };
    let old = picture.pixels.as_chunks::<4>().0;
    let mut pixels = Vec::new();
    for y in 0..height {
        let (top, bottom) = span(y, height, picture.height);
        for x in 0..width {
            let (left, right) = span(x, width, picture.width);
            let (mut sum, mut alpha, mut count) = ([0_u64; 3], 0_u64, 0_u64);
            for row in top..bottom {
                let row = row * u64::from(picture.width);
                let ends = usize::try_from(row + left).ok().zip(usize::try_from(row + right).ok());
                let cells = ends.and_then(|(begin, end)| old.get(begin..end)).unwrap_or_default();
                for [r, g, b, a] in cells {
                    let a = u64::from(*a);
                    for (sum, part) in sum.iter_mut().zip([r, g, b]) {
                        *sum += u64::from(*part) * a;
                    }
                    (alpha, count) = (alpha + a, count + 1);
                }
            }
            let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
            pixels.extend(sum.map(|part| byte(part.checked_div(alpha).unwrap_or(0))));
            pixels.push(byte(alpha.checked_div(count).unwrap_or(0)));
        }
    }
    Picture { width, height, pixels }
}

fn to_png(picture: &Picture) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width, picture.height);
    encoder.set_color(ColorType::Rgba);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(Error::internal)?;
    writer.write_image_data(&picture.pixels).map_err(Error::internal)?;
    writer.finish().map_err(Error::internal)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32, color: ColorType, bytes: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(color);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(bytes).unwrap();
        writer.finish().unwrap();
        file
    }

    fn refused(file: &[u8]) -> String {
        match draw(file) {
            Ok(_) => panic!("it was taken"),
            Err(error) => error.message.into_owned(),
        }
    }

    /// A PNG that announces a size and has no pixels.
    fn announcing(width: u32, height: u32) -> Vec<u8> {
        let mut file = png(1, 1, ColorType::Rgb, &[0; 3]);
        file.splice(16..24, [width.to_be_bytes(), height.to_be_bytes()].concat());
        let sum = checksum(&file[12..29]);
        file.splice(29..33, sum);
        file
    }

    /// Of a chunk of a PNG.
    fn checksum(data: &[u8]) -> [u8; 4] {
        let sum = data.iter().fold(!0_u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
        });
        (!sum).to_be_bytes()
    }

    #[test]
    fn a_small_picture_keeps_its_pixels_and_nothing_else_of_its_file() {
        let mut file = png(2, 1, ColorType::Rgb, &[255, 0, 0, 0, 0, 255]);
        file.extend(b"<script>alert(1)</script>");
        let drawn = draw(&file).unwrap();
        assert_eq!((drawn.width, drawn.height), (2, 1));
        assert!(!drawn.png.windows(6).any(|window| window == b"script"));
        let picture = from_png(&drawn.png).unwrap();
        assert_eq!(picture.pixels, [255, 0, 0, 255, 0, 0, 255, 255]);
    }

    #[test]
    fn grey_pictures_become_coloured_ones() {
        let drawn = draw(&png(1, 1, ColorType::Grayscale, &[77])).unwrap();
        assert_eq!(from_png(&drawn.png).unwrap().pixels, [77, 77, 77, 255]);
    }

    /// Eight by eight pixels of middle grey: every block has the mean and nothing else.
    fn jpeg(components: u8, adobe: bool) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8];
        let mut segment = |marker: u8, body: &[u8]| {
            let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
            file.extend([&[0xff, marker], &length[..], body].concat());
        };
        if adobe {
            segment(0xee, b"Adobe\0\x64\0\0\0\0\0");
        }
        segment(0xdb, &[&[0][..], &[1; 64]].concat());
        let each = |body: fn(u8) -> Vec<u8>| (1..=components).flat_map(body).collect::<Vec<u8>>();
        let frame = [&[8, 0, 8, 0, 8, components][..], &each(|n| vec![n, 0x11, 0])].concat();
        segment(0xc0, &frame);
        for table in [0x00, 0x10] {
            segment(0xc4, &[&[table, 1][..], &[0; 15], &[0]].concat());
        }
        segment(0xda, &[&[components][..], &each(|n| vec![n, 0]), &[0, 63, 0]].concat());
        // Two bits for each component; what is left is filled with ones.
        let bits = 0xff_u8.checked_shr(2 * u32::from(components)).unwrap_or(0);
        file.extend([bits, 0xff, 0xd9]);
        file
    }

    #[test]
    fn jpegs_for_printers_and_without_colour_become_coloured_ones() {
        let grey = from_png(&draw(&jpeg(1, false)).unwrap().png).unwrap();
        assert_eq!((grey.width, grey.height, &grey.pixels[..4]), (8, 8, &[128, 128, 128, 255][..]));
        let ink = from_png(&draw(&jpeg(4, true)).unwrap().png).unwrap();
        let [red, green, blue, alpha] = ink.pixels[..4] else { panic!("no pixel") };
        assert!((ink.width, ink.height, alpha) == (8, 8, 255) && red == green && green == blue);
    }

    #[test]
    fn an_animation_whose_first_frame_is_smaller_than_itself_is_refused() {
        let chunk = |kind: &[u8], body: &[u8]| {
            let data = [kind, body].concat();
            let length = u32::try_from(body.len()).unwrap().to_be_bytes();
            [&length[..], &data, &checksum(&data)].concat()
        };
        let mut control = Vec::new();
        for number in [0_u32, 1, 1, 0, 0] {
            control.extend(number.to_be_bytes());
        }
        control.extend([0, 1, 0, 1, 0, 0]);
        let animated =
            [chunk(b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]), chunk(b"fcTL", &control)].concat();
        let mut file = png(2, 2, ColorType::Rgb, &[9; 12]);
        file.splice(33..33, animated);
        assert!(refused(&file).starts_with("ImageFile "));
    }

    #[test]
    fn a_large_picture_is_made_small_by_the_mean_of_its_pixels() {
        // Left half opaque white, right half transparent black.
        let row: Vec<u8> =
            (0..1_400).flat_map(|x| if x < 700 { [255; 4] } else { [0; 4] }).collect();
        let drawn = draw(&png(1_400, 100, ColorType::Rgba, &row.repeat(100))).unwrap();
        assert_eq!((drawn.width, drawn.height), (700, 50));
        let pixels = from_png(&drawn.png).unwrap().pixels;
        assert_eq!(
            (&pixels[..4], &pixels[349 * 4..351 * 4]),
            (&[255; 4][..], &[255, 255, 255, 255, 0, 0, 0, 0][..])
        );
    }

    #[test]
    fn pictures_that_announce_more_than_memory_are_refused_before_they_are_decoded() {
        for (width, height) in [(100_000, 100_000), (4_096, 4_096), (4_097, 1), (u32::MAX >> 1, 1)]
        {
            let message = refused(&announcing(width, height));
            assert!(
                message
                    .starts_with(&format!("ImageFile is {width} by {height} pixels; at most 4096")),
                "{message}"
            );
        }
        assert!(refused(&announcing(0, 5)).starts_with("ImageFile is "));
    }

    #[test]
    fn what_is_neither_png_nor_jpeg_is_named() {
        for (file, found) in [
            (
                &b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"[..],
                "ImageFile is an SVG, which can hold scripts.",
            ),
            (b"<?xml version='1.0'?><svg/>", "ImageFile is an SVG, which can hold scripts."),
            (b"GIF89a\x01\x00\x01\x00", "ImageFile is a GIF."),
            (b"RIFF\x00\x00\x00\x00WEBP", "ImageFile is a WebP."),
            (b"hello", "ImageFile is not an image that this server knows."),
            (b"", "ImageFile is not an image that this server knows."),
            (b"\x89PNG", "ImageFile is not a PNG that can be read"),
            (b"\xff\xd8\xff\xe0 nothing", "ImageFile is not a JPEG that can be read."),
        ] {
            let message = refused(file);
            assert!(message.starts_with(found), "{message}");
        }
    }

    #[test]
    fn a_jpeg_of_very_many_passes_is_refused() {
        let jpeg = include_bytes!("logo/sample.jpg");
        let last = jpeg.windows(2).rposition(|window| window == [0xff, 0xda]).unwrap();
        let (head, scan) = jpeg[..jpeg.len() - 2].split_at(last);
        let bomb = [head, &scan.repeat(3_000), &[0xff, 0xd9]].concat();
        assert_eq!(
            refused(&bomb),
            "ImageFile is a JPEG of more than 32 passes. Save it as a plain one."
        );
    }

    /// Many cuts and single-byte mutations of a picture: an answer, never a panic.
    #[test]
    fn damaged_pictures_are_refused_or_drawn() {
        let file = png(9, 7, ColorType::Rgba, &(0..9 * 7 * 4).map(|n| n as u8).collect::<Vec<_>>());
        let jpeg = include_bytes!("logo/sample.jpg");
        assert!(draw(jpeg).is_ok_and(|drawn| (drawn.width, drawn.height) == (12, 8)));
        for whole in [&file[..], jpeg] {
            for end in (0..whole.len()).step_by(3) {
                let _ = draw(&whole[..end]);
            }
            for at in 0..whole.len() {
                for byte in [1, 0xff] {
                    let mut damaged = whole.to_vec();
                    damaged[at] = byte;
                    if let Ok(drawn) = draw(&damaged) {
                        assert!(drawn.width <= KEPT.0 && drawn.height <= KEPT.1);
                    }
                }
            }
        }
    }
}
