import java.io.FileInputStream;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;
import org.verapdf.pdfa.results.ValidationResult;

/** Prints every rule of PDF/A-3u that a file breaks; nothing if it conforms. */
public class Validate {
    public static void main(String[] arguments) throws Exception {
        VeraGreenfieldFoundryProvider.initialise();
        PDFAFlavour flavour = PDFAFlavour.PDFA_3_U;
        for (String name : arguments) {
            try (FileInputStream file = new FileInputStream(name);
                 PDFAParser parser = Foundries.defaultInstance().createParser(file, flavour);
                 PDFAValidator validator = Foundries.defaultInstance().createValidator(flavour, false)) {
                ValidationResult result = validator.validate(parser);
                System.out.println(name + " " + (result.isCompliant() ? "conforms" : "does not conform"));
                for (TestAssertion one : result.getTestAssertions()) {
                    System.out.println("  " + one.getRuleId().getClause() + " " + one.getMessage());
                }
            }
        }
    }
}
